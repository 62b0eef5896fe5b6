package fleet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
)

// A replica can be a process of its own: this test binary, told so.
const replicaEnv = "TRUNKLINE_TEST_REPLICA"

func TestMain(m *testing.M) {
	if url := os.Getenv(replicaEnv); url != "" {
		replicaMain(url)
		return
	}
	os.Exit(pgtest.Main(m))
}

const (
	crowd     = 200
	licensed  = 60
	taken     = 10
	remaining = licensed - taken
)

// replica is a control's rules on a database that others use too.
func replica(url string) (*fleet.Fleet, *store.Store, error) {
	s, err := store.OpenPostgres(context.Background(), url, zap.NewNop())
	if err != nil {
		return nil, nil, err
	}
	f, err := fleet.New(fleet.Options{
		Store: s, Registerer: prometheus.NewRegistry(), Zone: "example.com",
		License:     func() license.License { return license.License{Plan: "standard", Connections: licensed} },
		PutHandover: func(context.Context, string, bus.Handover) error { return nil },
		Revoke:      func(context.Context, string, bus.Revocation) error { return nil },
		PublishKeys: func(context.Context, fleet.Published) error { return nil },
	})
	return f, s, err
}

// activateMany asks for the PBXs from to to, all at once, and tells of each
// that was taken.
func activateMany(f *fleet.Fleet, from, to int, tell func(int, error)) {
	var wg sync.WaitGroup
	for i := from; i < to; i++ {
		wg.Go(func() {
			a := newPBX(id.Serial(fmt.Sprintf("SN-%05d", i))).request()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := f.Activate(ctx, a)
			tell(i, err)
		})
	}
	wg.Wait()
}

func replicaMain(url string) {
	f, _, err := replica(url)
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // the start
	activateMany(f, 0, crowd/2, func(i int, err error) { fmt.Println(i, fault.CodeOf(err)) })
}

// crowded is a database with an owner and the first connections in use.
func crowded(t *testing.T) string {
	t.Helper()
	url := storetest.Postgres(t)
	f, s, err := replica(url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := fleet.Account{ID: id.NewAccount(), Name: "Provider", Created: start}
	u := fleet.User{ID: id.NewUser(), Account: a.ID, Email: owner, Name: "P", Role: fleet.RoleOwner, Hash: fleet.CheapHash(password), Created: start}
	if err := s.Tx(t.Context(), func(tx fleet.Tx) error { return errors.Join(tx.AddAccount(a), tx.AddUser(u)) }); err != nil {
		t.Fatal(err)
	}
	activateMany(f, 10_000, 10_000+taken, func(_ int, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	return url
}

// used is what the accounts count and what there is.
func used(t *testing.T, s *store.Store) (counted, devices int) {
	t.Helper()
	err := s.View(t.Context(), func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		counts, err := tx.DeviceCounts(root.ID)
		counted, devices = root.Used, counts[fleet.StatusNever]
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counted, devices
}

// 200 PBXs come at once, to two replicas, for the last 50 connections.
func TestLastConnectionsOfTwoReplicas(t *testing.T) {
	url := crowded(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	var last *store.Store
	for half := range 2 {
		f, s, err := replica(url)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		last = s
		wg.Go(func() {
			activateMany(f, half*crowd/2, (half+1)*crowd/2, func(_ int, err error) {
				switch fault.CodeOf(err) {
				case "":
					won.Add(1)
				case fault.NoConnections:
				default:
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
	counted, devices := used(t, last)
	if won.Load() != remaining || counted != licensed || devices != licensed {
		t.Errorf("%d were told yes, want %d; %d counted, %d devices", won.Load(), remaining, counted, devices)
	}
}

// One of the two is killed in the middle. What it had committed counts, what
// it had not is free, and the other one fills up the rest exactly.
func TestLastConnectionsWhenAReplicaIsKilled(t *testing.T) {
	url := crowded(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), replicaEnv+"="+url)
	in, err1 := child.StdinPipe()
	out, err2 := child.StdoutPipe()
	if err := errors.Join(err1, err2, child.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the replica said %q", lines.Text())
	}
	f, s, err := replica(url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	told, begun := make(chan int), make(chan struct{})
	go func() {
		n := 0
		for lines.Scan() {
			if strings.HasSuffix(lines.Text(), " ") { // no code: it was taken
				n++
				switch n {
				case 4: // a lead, so that the other one does not take all there is
					close(begun)
				case 5:
					_ = child.Process.Kill()
				}
			}
		}
		told <- n
	}()
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-begun:
	case <-time.After(time.Minute):
		t.Fatal("the replica activates nothing")
	}
	activateMany(f, crowd/2, crowd, func(_ int, err error) {
		if c := fault.CodeOf(err); c != "" && c != fault.NoConnections {
			t.Error(err)
		}
	})
	byChild := <-told
	// The PBXs of the killed one ask again, as agents do.
	activateMany(f, 0, crowd/2, func(_ int, err error) {
		if c := fault.CodeOf(err); c != "" && c != fault.NoConnections {
			t.Error(err)
		}
	})
	counted, devices := used(t, s)
	if counted != licensed || devices != licensed {
		t.Errorf("%d counted, %d devices, want %d (the killed one had said yes to %d)", counted, devices, licensed, byChild)
	}
	if byChild < 5 {
		t.Errorf("the replica was not killed in the middle: it had taken %d", byChild)
	}
}

// An edit and a removal at one control node reach who watches at the other.
func TestWatchersAtTheOtherNode(t *testing.T) {
	w := newWorld(t)
	told := make(chan bus.DeviceNotice, 16)
	w.announce = func(n bus.DeviceNotice) { told <- n }
	w.restart()
	here := w.Fleet
	w.announce = nil
	w.restart()
	there := w.Fleet
	p := w.signIn(owner)
	events := there.Watch(t.Context(), p)
	d, _, err := here.AddDevice(t.Context(), p, fleet.NewDevice{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	hear := func() fleet.DeviceEvent {
		t.Helper()
		n := <-told
		here.Heard(n) // its own: nothing to do
		there.Heard(n)
		if err := there.FlushForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
		return <-events
	}
	if e := hear(); e.Device.ID != d.ID || e.Device.Name != "Acme" {
		t.Errorf("%+v", e)
	}
	if err := here.RemoveDevice(t.Context(), p, d.ID, ""); err != nil {
		t.Fatal(err)
	}
	if e := hear(); e.Device.ID != d.ID || !e.Removed {
		t.Errorf("%+v", e)
	}
}
