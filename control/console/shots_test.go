package console_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// Pictures of the pages for the eye: CONSOLE_SHOTS=<dir> go test -run Shots
func TestShots(t *testing.T) {
	dir := os.Getenv("CONSOLE_SHOTS")
	if dir == "" {
		t.Skip("CONSOLE_SHOTS is not set")
	}
	f := shotFake()
	w := newWorld(t, f)
	ctx := browse(t)
	shot := func(name, path string, width int64, dark bool) {
		t.Helper()
		scheme, height := "light", int64(900)
		if dark {
			scheme = "dark"
		}
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
		run(t, ctx, chromedp.EmulateViewport(width, height), chromedp.Navigate(w.base+path), chromedp.Sleep(400*time.Millisecond))
		take := chromedp.FullScreenshot(100)
		if strings.HasPrefix(name, "devices") {
			take = chromedp.CaptureScreenshot() // the first screen of many
		}
		png, err := chromedp.Run(ctx, take)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shot("sign-in", "/sign-in", 1280, false)
	shot("sign-in-phone-dark", "/sign-in", 390, true)
	signIn(t, ctx, w, "/")
	for _, c := range []struct {
		name, path string
		width      int64
		dark       bool
	}{
		{"devices", "/", 1280, false}, {"devices-dark", "/", 1280, true}, {"devices-phone", "/", 390, false}, {"devices-wide", "/?status=disconnected", 1920, false},
		{"devices-tablet", "/", 960, true}, {"devices-narrow", "/", 320, true},
		{"device", "/devices/" + string(deviceID(1)), 1280, false}, {"device-phone-dark", "/devices/" + string(deviceID(2)), 390, true},
		{"refused", "/devices/" + string(deviceID(7)), 820, false}, {"remove", "/devices/" + string(deviceID(2)) + "/remove", 1280, false}, {"site", "/visit/pbx-00000002", 1280, true},
		{"visits", "/visits", 1280, false}, {"visits-phone", "/visits", 390, true}, {"audit", "/audit", 1280, false}, {"audit-phone", "/audit", 390, false},
		{"overview", "/overview", 1280, false}, {"overview-phone", "/overview", 390, true}, {"add", "/devices/add", 1280, false}, {"groups", "/groups", 1280, true},
		{"edit", "/devices/" + string(deviceID(1)) + "/edit", 390, false}, {"subscription", "/subscription", 1280, false}, {"people", "/people", 1280, false},
		{"person", "/people/" + string(userID(2)), 1280, true}, {"rights", "/roles/technician", 1280, false}, {"rights-phone", "/roles/technician", 390, true},
		{"resellers", "/resellers", 1280, false}, {"me", "/me", 1280, false}, {"me-phone", "/me", 390, true}, {"invitation", "/invitation/" + invitation, 1280, false},
		{"user-devices", "/user-devices", 1280, false}, {"relays", "/relays", 1280, false}, {"relays-phone", "/relays", 390, true},
		{"no-match", "/?q=" + url.QueryEscape("zzz"), 1280, false}, {"not-found", "/nowhere", 1280, true},
	} {
		shot(c.name, c.path, c.width, c.dark)
	}
	f.mu.Lock()
	f.devices = nil
	f.mu.Unlock()
	shot("empty", "/", 1280, false)
	shot("empty-phone", "/", 390, true)
}

func shotFake() *fake {
	f := liveFake()
	f.sub.Root = true
	names := []string{
		"Harbour Hotel", "Northside Clinic", "Old Mill Brewery", "Stadtwerke Süd – Leitstelle", "مقسم الفندق", "Ferry Terminal 4",
		"A remarkably long name that somebody typed because the field allowed it, and then some more", "Library", "Town Hall", "Kiosk 12",
	}
	for n := len(f.devices); n < 1234; n++ {
		d := device(n+1, names[n%len(names)])
		d.Presence.Since = time.Now().Add(-time.Duration(n*n+40) * time.Second)
		switch n % 5 {
		case 3:
			d.Presence = fleet.Presence{Status: fleet.StatusDisconnected, Reason: fault.RelayLost, Since: d.Presence.Since}
		case 4:
			d.Model = "P-Series Software Edition"
		}
		f.devices = append(f.devices, d)
	}
	shift := time.Since(noon)
	for i := range f.visits {
		v := &f.visits[i]
		v.Started, v.Expires = v.Started.Add(shift), v.Expires.Add(shift)
		if !v.Opened.IsZero() {
			v.Opened = v.Opened.Add(shift)
		}
		if !v.Ended.IsZero() {
			v.Ended = v.Ended.Add(shift)
		}
	}
	f.sub = fleet.Subscription{Status: "Subscribed", Holder: "ACME Telecom", Connections: 2500, Used: 1234, Expires: time.Now().AddDate(1, 0, 0)}
	return f
}
