package testnet_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"trunkline/cmd/trunkline/up"
	"trunkline/control/license"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// connections licenses an installation for n.
func connections(t *testing.T, n int) func(*up.Config) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b, err := license.Issue(private, license.License{
		Holder: "Acme", Plan: "standard", Connections: n, NotBefore: now.Add(-time.Hour), Expires: now.AddDate(1, 0, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "licence")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *up.Config) {
		c.Control.LicenseFile, c.Control.LicenseKey = file, base64.StdEncoding.EncodeToString(public)
	}
}

// both waits until the two are listed with these marks, and connected.
func both(w *testnet.World, p *testnet.Twins, primary, secondary string) (one, two controlapi.Device) {
	w.T.Helper()
	w.Eventually(fmt.Sprintf("the primary is %q and the secondary %q", primary, secondary), func() (err error) {
		if one, err = w.API.Device(w.T.Context(), p.Primary.Device); err != nil {
			return err
		}
		if two, err = w.API.Device(w.T.Context(), p.Secondary.Device); err != nil {
			return err
		}
		if one.Mark != primary || two.Mark != secondary || one.Status != controlapi.StatusConnected || two.Status != controlapi.StatusConnected {
			return fmt.Errorf("%s: %q, %s: %q", one.Status, one.Mark, two.Status, two.Mark)
		}
		return nil
	})
	return one, two
}

func used(w *testnet.World) int {
	w.T.Helper()
	s, err := w.API.Subscription(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	return s.Used
}

// page is what a browser's navigation shows.
func page(t *testing.T, v *visitor.Visitor, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.Origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	resp, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func shows(t *testing.T, v *visitor.Visitor, want string) {
	t.Helper()
	if status, text := page(t, v, "/login"); status != http.StatusOK || !strings.Contains(text, want) {
		t.Errorf("%d, without %q: %.300s", status, want, text)
	}
}

// tell writes a PBX's facts as it would itself.
func tell(t *testing.T, p *testnet.Twins, sn id.Serial, facts map[string]any) {
	t.Helper()
	b, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Facts[sn]+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.Facts[sn]+".new", p.Facts[sn]); err != nil {
		t.Fatal(err)
	}
}

const (
	primarySN, secondarySN = id.Serial("3631A20C0042"), id.Serial("3631A20C0043")
)

// One connection, two PBXs: both listed with their marks; the visit follows the
// active one, and says so; a late claim of the old one changes nothing; apart,
// the second one is over capacity until the first one's connection is free.
func TestHotStandby(t *testing.T) {
	w := testnet.Start(t, connections(t, 1))
	p := w.Pair(primarySN, secondarySN)
	p.Run()
	one, two := both(w, p, "active", "standby")
	if one.Site != two.Site || one.Peer != two.ID || two.Peer != one.ID || used(w) != 1 {
		t.Fatalf("%+v\n%+v\n%d used", one, two, used(w))
	}

	v := w.Visit(controlapi.VisitRequest{Site: one.Site})
	shows(t, v, "primary server, active")
	named := w.Visit(controlapi.VisitRequest{Device: two.ID})
	shows(t, named, "secondary server, standby")
	ws, err := v.WebSocket(t.Context(), "/ws/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()

	if err := p.Failover(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testnet.Patience)
	defer cancel()
	if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket to the old server: %v", err)
	}
	both(w, p, "standby", "active")
	status, text := page(t, v, "/login")
	if status != http.StatusConflict || !strings.Contains(text, "roles_swapped") || !strings.Contains(text, "the secondary server with the serial number "+string(secondarySN)) {
		t.Errorf("%d %s", status, text)
	}
	shows(t, v, "secondary server, active")
	shows(t, named, "secondary server, active")

	lateClaim(t, w, p, v)
	apart(t, w, p)
}

// lateClaim: the primary says, with an old claim, that it is active.
func lateClaim(t *testing.T, w *testnet.World, p *testnet.Twins, v *visitor.Visitor) {
	t.Helper()
	// A restart makes sure that the old claim has been said: the agent says what
	// it knows when it connects.
	p.Primary.Stop()
	p.Primary.AwaitStatus(controlapi.StatusDisconnected)
	if err := os.Remove(filepath.Join(p.Primary.Data, "standby.json")); err != nil {
		t.Fatal(err)
	}
	tell(t, p, primarySN, map[string]any{"enabled": true, "type": "primary", "role": "active", "peer": secondarySN, "claim": 1})
	p.Primary.Run()
	both(w, p, "standby", "active")
	shows(t, v, "secondary server, active")
	if used(w) != 1 {
		t.Errorf("%d used", used(w))
	}
}

// apart: the PBXs are no pair any more.
func apart(t *testing.T, w *testnet.World, p *testnet.Twins) {
	t.Helper()
	for _, sn := range []id.Serial{primarySN, secondarySN} {
		tell(t, p, sn, map[string]any{"enabled": false})
	}
	w.Eventually("they part", func() error {
		one, err := w.API.Device(t.Context(), p.Primary.Device)
		if err == nil && (one.Mark != "" || !one.OverCapacity) {
			err = fmt.Errorf("%+v", one)
		}
		return err
	})
	// The one that served keeps the site; the other one stays connected.
	one, two := both(w, p, "", "")
	if two.Site != p.Secondary.Site || two.OverCapacity || one.Site == two.Site || used(w) != 1 {
		t.Errorf("%+v\n%+v\n%d used", one, two, used(w))
	}
	if _, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: one.ID}); fault.CodeOf(err) != fault.OverCapacity {
		t.Errorf("a visit over capacity: %v", err)
	}
	freed := time.Now()
	if err := w.API.RemoveDevice(t.Context(), two.ID); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the connection is given on", func() error {
		d, err := w.API.Device(t.Context(), one.ID)
		if err == nil && (d.OverCapacity || d.Status != controlapi.StatusConnected || d.Since.Before(freed)) {
			err = fmt.Errorf("%s, over capacity: %v", d.Status, d.OverCapacity)
		}
		return err
	})
	// Its agent comes back with a pass that says so.
	w.Eventually("it can be visited", func() error {
		_, err := w.API.StartVisit(t.Context(), controlapi.VisitRequest{Device: one.ID})
		return err
	})
	shows(t, w.Visit(controlapi.VisitRequest{Device: one.ID}), "SN "+string(primarySN))
	if used(w) != 1 {
		t.Errorf("%d used", used(w))
	}
}

// The primary loses its power for good: the site is down until the secondary
// takes over, and stays the secondary's when the primary's device is removed.
func TestHotStandbyLoss(t *testing.T) {
	w := testnet.Start(t, connections(t, 1))
	p := w.Pair(primarySN, secondarySN)
	p.Run()
	one, _ := both(w, p, "active", "standby")
	v := w.Visit(controlapi.VisitRequest{Site: one.Site})
	shows(t, v, "primary server, active")
	p.Primary.Stop()
	p.Primary.AwaitStatus(controlapi.StatusDisconnected)
	if status, text := page(t, v, "/login"); status != http.StatusServiceUnavailable || !strings.Contains(text, "not_connected") {
		t.Errorf("a standby is shown without a word: %d %.300s", status, text)
	}
	if err := p.TakeOver(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the notice", func() error {
		status, text := page(t, v, "/login")
		if status == http.StatusConflict && strings.Contains(text, "roles_swapped") {
			return nil
		}
		return fmt.Errorf("%d %.200s", status, text)
	})
	shows(t, v, "secondary server, active")
	if err := w.API.RemoveDevice(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	shows(t, v, "secondary server, active")
	d, err := w.API.Device(t.Context(), p.Secondary.Device)
	if err != nil || d.Mark != "" || d.Peer != "" || d.Site != one.Site || used(w) != 1 {
		t.Errorf("%+v, %v, %d used", d, err, used(w))
	}
}
