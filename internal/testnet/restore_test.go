package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"trunkline/agent"
	"trunkline/control"
	"trunkline/control/store"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// A backup is restored while everything runs: what it knows goes on, tunnels
// too; what came after it is gone, on the relay as well.
func TestRestoreWhileItRuns(t *testing.T) {
	w := testnet.Start(t, nil)
	known := w.Connect("3631A20C0101", w.Portal(nil).URL())
	before := known.Visit()
	fetches(t, before)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := store.Backup(t.Context(), filepath.Join(w.Data, store.FileName), backup); err != nil {
		t.Fatal(err)
	}

	later := w.Connect("3631A20C0102", w.Portal(nil).URL())
	since := known.Visit()
	fetches(t, since)
	ws, err := since.WebSocket(t.Context(), "/ws/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	up := known.AwaitStatus(controlapi.StatusConnected)

	f, err := os.Open(backup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var steps []string
	aside, err := control.Restore(t.Context(), w.Data, f, func(s string) { steps = append(steps, s) })
	if err != nil || len(steps) < 2 {
		t.Fatalf("%v after %q", err, steps)
	}
	if st, err := os.Stat(aside); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("what was there: %v, %v", st, err)
	}

	if _, err := w.API.Devices(t.Context(), controlapi.DeviceQuery{}); fault.CodeOf(err) != fault.SignInNeeded {
		t.Errorf("a session from before: %v", err)
	}
	w.API = w.SignIn(w.Login())
	d := known.AwaitStatus(controlapi.StatusConnected)
	if !d.Since.Equal(up.Since) {
		t.Errorf("the tunnel is up since %s, was since %s", d.Since, up.Since)
	}
	page, err := w.API.Devices(t.Context(), controlapi.DeviceQuery{})
	if err != nil || page.Total != 1 || page.Items[0].ID != known.Device {
		t.Errorf("%+v, %v", page, err)
	}
	w.Eventually("what the backup does not know is disconnected", func() error {
		s, err := later.Desk.View(t.Context())
		if err == nil && s.Status.State != agent.DisconnectedByProvider {
			err = fmt.Errorf("%s: %s", s.Status.State, s.Status.Reason)
		}
		return err
	})
	w.Eventually("visits from before end", func() error {
		for _, v := range []*visitor.Visitor{before, since} {
			if _, err := v.Fetch(t.Context(), "/test/1kb"); err == nil {
				return fmt.Errorf("one goes on")
			}
		}
		return nil
	})
	cut, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	if _, _, err := ws.Read(cut); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("an open WebSocket: %v", err)
	}
	for _, v := range []*visitor.Visitor{before, since} {
		isOut(t, w, v, fault.Restored)
	}
	if vs, err := w.API.Visits(t.Context(), controlapi.VisitQuery{Live: true}); err != nil || vs.Total != 0 {
		t.Errorf("%+v, %v", vs, err)
	}
	fetches(t, known.Visit())
}

// A relay that hears nothing of the bus for the time of a restore does not go on with
// the visits of before once it hears again.
func TestRestoreWhileARelayIsCutOff(t *testing.T) {
	line := testnet.NewWire(t)
	more := &testnet.More{Names: []id.Relay{"relay-2"}, Dial: line.Addr()}
	w := testnet.Start(t, more.WithRelays)
	line.To(w.Up.BusAddr())
	known := w.Connect("3631A20C0101", w.Portal(nil).URL())
	r := w.Relay(more, "relay-2", nil)
	v := known.Visit()
	w.Through(v, r.Addr())
	fetches(t, v)
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := store.Backup(t.Context(), filepath.Join(w.Data, store.FileName), backup); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(backup)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	line.Cut()
	if _, err := control.Restore(t.Context(), w.Data, f, func(string) {}); err != nil {
		t.Fatal(err)
	}
	w.API = w.SignIn(w.Login())
	fetches(t, known.Visit()) // the keys are others
	line.Mend()
	w.Eventually("the relay has heard that the keys of before are withdrawn", func() error {
		if _, err := v.Fetch(t.Context(), "/test/1kb"); err == nil {
			return errors.New("a visit of before goes on")
		}
		return nil
	})
	w.Eventually("whoever comes is told why", func() error {
		if _, err := v.Fetch(t.Context(), "/test/1kb"); err == nil || !strings.Contains(err.Error(), string(fault.Restored)) {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
}

// What is no backup changes nothing, and says why.
func TestRestoreOfRubbish(t *testing.T) {
	w := testnet.Start(t, nil)
	known := w.Connect("3631A20C0103", w.Portal(nil).URL())
	for range 2 {
		f, err := os.Open(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = control.Restore(t.Context(), w.Data, f, func(string) {})
		f.Close()
		if err == nil {
			t.Fatal("restored a program")
		}
	}
	known.AwaitStatus(controlapi.StatusConnected) // with the session from before
	if left, _ := filepath.Glob(filepath.Join(w.Data, store.FileName+".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func fetches(t *testing.T, v *visitor.Visitor) {
	t.Helper()
	if _, err := v.Fetch(t.Context(), "/test/1kb"); err != nil {
		t.Fatal(err)
	}
}
