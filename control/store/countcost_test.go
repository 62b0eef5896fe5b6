package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// BenchmarkCounts is what counting devices as they change costs, of 100,000: the
// processor time in seconds, of control and PostgreSQL together, of adding 1,000
// devices, each in a transaction of its own, and of 1,000 that connect, in batches
// as control writes them, with what counts and without, taking turns.
func BenchmarkCounts(b *testing.B) {
	for _, database := range []string{"sqlite", "postgres"} {
		b.Run(database, func(b *testing.B) {
			f := filled(b, database, 100_000, 0)
			for name, do := range map[string]func(*testing.B, *benched, int){"add": addDevices, "connect": connectDevices} {
				b.Run(name, func(b *testing.B) {
					var with, without []float64
					for turn := 0; b.Loop(); turn += 2 {
						with = append(with, processor(b, f, func() { do(b, f, turn) }))
						again, err := store.Uncounted(b.Context(), f.Store)
						if err != nil {
							b.Fatal(err)
						}
						without = append(without, processor(b, f, func() { do(b, f, turn+1) }))
						if err := again(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(median(with), "s-counted")
					b.ReportMetric(median(without), "s-uncounted")
				})
			}
		})
	}
}

const changed = 1000 // devices

func addDevices(b *testing.B, f *benched, turn int) {
	for i := range changed {
		d := fleet.Device{ID: id.NewDevice(), Account: f.root, Name: fmt.Sprintf("%s Clinic %d-%d", id.Ref(), turn, i), Created: time.Now(),
			Presence: fleet.Presence{Status: fleet.StatusNever}}
		if err := f.Tx(b.Context(), func(tx fleet.Tx) error { return tx.AddDevice(d) }); err != nil {
			b.Fatal(err)
		}
	}
}

// connectDevices has devices connect, or what was connected in the turn before
// the last lose its connection.
func connectDevices(b *testing.B, f *benched, turn int) {
	status := []fleet.Status{fleet.StatusConnected, fleet.StatusDisconnected}[turn/2%2]
	q := fleet.DeviceQuery{Limit: changed, Seen: everything, Sort: fleet.SortSerial, Desc: turn%2 == 0}
	var p fleet.Page[fleet.Device]
	if err := f.View(b.Context(), func(tx fleet.Tx) (err error) { p, err = tx.Devices(f.root, q); return err }); err != nil {
		b.Fatal(err)
	}
	const batch = 500
	for n := 0; n < len(p.Items); n += batch {
		err := f.Tx(b.Context(), func(tx fleet.Tx) error {
			for _, d := range p.Items[n:min(n+batch, len(p.Items))] {
				at := fleet.Presence{Status: status, Since: time.Now()}
				if err := errors.Join(tx.SavePresence(d.ID, at), tx.AddDeviceEvent(d.ID, fleet.StatusChange{At: at.Since, Kind: string(status)}, 200)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// processor is what do costs this process and PostgreSQL's, in seconds.
func processor(b *testing.B, f *benched, do func()) float64 {
	b.Helper()
	used := func() float64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		own := time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
		dir, err := store.DataDirectory(b.Context(), f.Store)
		if err != nil {
			b.Fatal(err)
		}
		if dir == "" {
			return own
		}
		return own + backends(b, dir)
	}
	before := used()
	do()
	return used() - before
}

// backends is the processor time of the server in dir: proc(5), in ticks of 10 ms.
func backends(b *testing.B, dir string) (seconds float64) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	server, _, _ := strings.Cut(string(text), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on
		if fields[1] != server && filepath.Base(filepath.Dir(name)) != server {
			continue
		}
		for _, x := range fields[11:15] { // its own, and its children's that ended
			ticks, err := strconv.Atoi(x)
			if err != nil {
				b.Fatal(err)
			}
			seconds += float64(ticks) / 100
		}
	}
	return seconds
}
