package page_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"trunkline/agent/manage"
	"trunkline/internal/id"
	"trunkline/internal/pagetest"
)

// The page keeps nobody out, whatever it shows: axe finds nothing serious.
func TestAxe(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	axe := pagetest.NewAxe(t)
	eachPage(t, func(ctx context.Context, page string) {
		axe.Inspect(t, ctx, page)
		if page == "first use" {
			axe.Sees(t, ctx)
		}
	})
}

// It is not to be scrolled sideways, whatever the screen.
func TestPageFits(t *testing.T) {
	eachPage(t, func(ctx context.Context, page string) {
		pagetest.Fits(t, ctx, page)
		if page == "first use" {
			pagetest.SeesWide(t, ctx)
		}
	})
}

// eachPage opens the page as it is at first, with what was wrong, connected
// with visits, out of reach, and to who has to sign in.
func eachPage(t *testing.T, look func(ctx context.Context, page string)) {
	t.Helper()
	w := newWorld(t)
	ctx := browse(t)
	pagetest.Theme(t, ctx, "light")
	run(t, ctx, chromedp.Navigate(w.base+"/"))
	look(ctx, "first use")
	signUp(t, ctx, w)
	look(ctx, "not activated")
	run(t, ctx, chromedp.SendKeys(css("#server"), "http://console.example.com\r"), chromedp.WaitVisible(css("#problem")))
	look(ctx, "refused")
	wide := strings.Repeat("W", 100)
	w.desk.set(func(v *manage.View) {
		v.Status = manage.Status{State: manage.Connected, Since: time.Now().Add(-time.Hour), Account: wide, Server: "https://" + strings.Repeat("console.", 30) + "example.com",
			Name: wide, Relay: "relay-1", Device: "dev_0123456789abcdef"}
		v.Server, v.Email, v.Firmware.Value, v.Passwordless, v.Account, v.CA = v.Status.Server, "tech@example.com", "37.19.0.110", true, "remote", true
		v.Now = []manage.Visit{{ID: id.NewVisit(), Who: "Ann " + wide, Method: "passwordless", From: time.Now().Add(-5 * time.Minute)}}
		for range 25 {
			v.Past = append(v.Past, manage.Visit{ID: id.NewVisit(), Who: "Ben Longername-Smythe", Method: "account", From: time.Now().Add(-30 * time.Hour), To: time.Now().Add(-29 * time.Hour)})
		}
	})
	run(t, ctx, chromedp.Navigate(w.base+"/?done=connected"), chromedp.WaitVisible(css(".notice")))
	look(ctx, "connected")
	w.desk.set(func(v *manage.View) {
		v.Status = manage.Status{State: manage.ServerUnreachable, Since: time.Now(), Reason: "relay " + strings.Repeat("relay-1.", 20) + "example.com:8443: connection refused", Device: "dev_0123456789abcdef",
			Tried: 7, TriedAt: strings.Repeat("relay-1.", 20) + "example.com:8443", NextTry: time.Now().Add(time.Minute)}
		v.Off = true
	})
	run(t, ctx, chromedp.Navigate(w.base+"/"), chromedp.Click(css("summary")))
	look(ctx, "out of reach")
	run(t, ctx, chromedp.Click(css(".top button")), chromedp.WaitVisible(css("main.narrow")))
	look(ctx, "sign-in")
	run(t, ctx, chromedp.Navigate(w.base+"/nowhere"))
	look(ctx, "nowhere")
}
