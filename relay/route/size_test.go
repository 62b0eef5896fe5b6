package route_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
	"trunkline/relay/route"
)

// mostPerRoute is what a route may take of a relay's memory: a million are to
// fit into half a GiB.
const mostPerRoute = 512

// fill puts n routes into a table as the bus brings them, decoded one by one,
// and returns their sites in random order.
func fill(t testing.TB, table *route.Table, n int) []id.Site {
	t.Helper()
	accounts := make([]id.Account, 100)
	for i := range accounts {
		accounts[i] = id.NewAccount()
	}
	var sites []id.Site
	table.Apply(bus.Event[bus.Route]{Kind: bus.Reset, Epoch: "e1"})
	for i := range n {
		b, err := json.Marshal(bus.Route{
			Relay: id.Relay(fmt.Sprintf("relay-%d", i%50)), Device: id.NewDevice(), Site: id.NewSite(), Account: accounts[i%len(accounts)],
			Tunnel: id.NewTunnel(), Since: time.Now().UTC(), Portal: tunnel.Portal{Origin: "https://127.0.0.1:8088"},
			Agent: "1.0.0", Remote: fmt.Sprintf("10.%d.%d.%d:40000", i>>16, i>>8&255, i&255),
		})
		if err != nil {
			t.Fatal(err)
		}
		e := bus.Event[bus.Route]{Kind: bus.Put, Rev: uint64(i + 1), Epoch: "e1"}
		if err := json.Unmarshal(b, &e.Value); err != nil {
			t.Fatal(err)
		}
		e.Key = bus.RouteKey(e.Value.Relay, e.Value.Device)
		table.Apply(e)
		sites = append(sites, id.Site(strings.Clone(string(e.Value.Site))))
	}
	table.Apply(bus.Event[bus.Route]{Kind: bus.Synced, Epoch: "e1"})
	rand.Shuffle(n, func(i, j int) { sites[i], sites[j] = sites[j], sites[i] })
	return sites
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func newTable() *route.Table {
	return route.NewTable("relay-1", func(id.Device, bus.Route) {}, func(id.Site, id.Device) {})
}

func TestARoutesMemoryIsBounded(t *testing.T) {
	if raceDetector {
		t.Skip("its memory is not ours")
	}
	const n = 20_000
	table, before := newTable(), heap()
	fill(t, table, n)
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes a route", each)
	if each > mostPerRoute {
		t.Errorf("more than %d", mostPerRoute)
	}
	runtime.KeepAlive(table)
}

// A look-up costs the same whatever the number of routes, but for what the
// processor's caches do not hold: each is asked for in turn, in random order. How much
// that is shows a plain map of the same keys, to values as big as the table's, read in the
// same order: x-map is how many times as long as that a look-up takes.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{1, 1_000, 50_000, 1_000_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			table := newTable()
			sites := fill(b, table, n)
			full := heap()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, ok := table.Site(sites[i]); !ok {
					b.Fatal("unknown")
				}
				if i++; i == n {
					i = 0
				}
			}
			each := float64(b.Elapsed()) / float64(b.N)
			runtime.KeepAlive(table)
			table = nil
			size := float64(int64(full)-int64(heap())) / float64(n)
			b.ReportMetric(size, "B/route")
			inMap := plain(b, sites, b.N)
			b.ReportMetric(inMap, "ns/map-read")
			b.ReportMetric(each/inMap, "x-map")
			runtime.KeepAlive(sites)
		})
	}
}

// plain is how long one of so many look-ups takes, in nanoseconds, in a map of Go's to
// values as big as the table's words, of which all is read. They were made in another
// order than they are asked for in.
func plain(b *testing.B, sites []id.Site, reads int) float64 {
	const cacheLine = 64
	type value [112]byte
	values := make(map[id.Site]*value, len(sites))
	for _, i := range rand.Perm(len(sites)) {
		v := new(value)
		v[0] = 1
		values[id.Site(strings.Clone(string(sites[i])))] = v
	}
	runtime.GC()
	var sum int
	began := time.Now()
	for i, left := 0, reads; left > 0; left-- {
		v, ok := values[sites[i]]
		if !ok {
			b.Fatal("unknown")
		}
		for line := 0; line < len(v); line += cacheLine {
			sum += int(v[line])
		}
		if i++; i == len(sites) {
			i = 0
		}
	}
	each := float64(time.Since(began)) / float64(reads)
	if sum != reads {
		b.Fatalf("%d of %d values were read", sum, reads)
	}
	return each
}
