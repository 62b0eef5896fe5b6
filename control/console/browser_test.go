package console_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"trunkline/control/console"
	"trunkline/control/fleet"
)

// arrival is what a site was sent.
type arrival struct{ host, origin, referer, handover string }

// world is the console and all sites on one TLS port, as the relay has it.
type world struct {
	fake     *fake
	base     string // https://console.localhost:port
	arrivals chan arrival
}

func newWorld(t *testing.T, f *fake) *world {
	t.Helper()
	w := &world{fake: f, arrivals: make(chan arrival, 4)}
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	h, err := console.New(console.Options{Fleet: f, Zone: "localhost", Port: ":" + port, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	w.base = "https://console.localhost:" + port
	f.siteURL = "https://pbx-00000001.localhost:" + port + "/.trunkline/visit"
	srv.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "console.") {
			h.ServeHTTP(rw, r)
			return
		}
		if r.URL.Path == "/.trunkline/visit" {
			w.arrivals <- arrival{r.Host, r.Header.Get("Origin"), r.Header.Get("Referer"), r.PostFormValue("handover")}
			http.Redirect(rw, r, "/", http.StatusSeeOther)
			return
		}
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write([]byte(`<title>Portal</title><p id="portal">The portal</p>`))
	})
	srv.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return w
}

// browse starts Debian's Chromium; the context is a tab. What pages log as an
// error, a breach of their policy above all, fails the test.
func browse(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no chromium here")
		}
		t.Skip("no chromium here")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-background-networking", true), chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	run(t, ctx, chromedp.Navigate("about:blank"))
	if err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("script: %s", e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			if e.Entry.Source == cdplog.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
				t.Errorf("browser: %s %s", e.Entry.Text, e.Entry.URL)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, struct{}{}); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func run(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// lands waits in a tab that goes from page to page meanwhile: a look at one that
// is just being left is no failure.
func lands(t *testing.T, ctx context.Context, element string) {
	t.Helper()
	err := chromedp.Do(ctx, chromedp.WaitVisible(css(element)))
	for err != nil && strings.Contains(err.Error(), "navigated or closed") && ctx.Err() == nil {
		err = chromedp.Do(ctx, chromedp.WaitVisible(css(element)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// read is what an expression gives in the page.
func read(t *testing.T, ctx context.Context, expression string) string {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func becomes(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		t.Fatalf("never came true: %s: %v", expression, err)
	}
}

func signIn(t *testing.T, ctx context.Context, w *world, path string) {
	t.Helper()
	run(t, ctx,
		chromedp.Navigate(w.base+path),
		chromedp.SendKeys("#email", goodEmail), chromedp.SendKeys("#password", goodSecret+"\r"),
		chromedp.WaitVisible(chromedp.CSS(".top")),
	)
}

func css(s string) chromedp.CSS { return chromedp.CSS(s) }

func row(n int) string { return "#" + string(deviceID(n)) }

// liveFake is sample with times around now.
func liveFake() *fake {
	f := sample()
	for i := range f.devices {
		d := &f.devices[i]
		shift := time.Since(noon)
		d.Activated = d.Activated.Add(shift)
		if !d.Presence.Since.IsZero() {
			d.Presence.Since = d.Presence.Since.Add(shift)
		}
	}
	return f
}

// Signs in by keyboard, sees a PBX come back without a reload, opens it in a
// new tab: the handover arrives by POST with the console's Origin and nothing
// else of it, which is what the relay insists on.
func TestBrowserVisit(t *testing.T) {
	w := newWorld(t, liveFake())
	ctx := browse(t)
	signIn(t, ctx, w, "/")
	run(t, ctx, chromedp.WaitVisible(css(row(2)+" button:disabled")), chromedp.WaitVisible(css("#livedot:not(.lost)")))
	d := w.fake.devices[1]
	d.Presence = fleet.Presence{Status: fleet.StatusConnected, Since: time.Now()}
	w.fake.set(d)
	run(t, ctx, chromedp.WaitVisible(css(row(2)+" button:enabled")))
	if got := read(t, ctx, `document.querySelector("`+row(2)+` .pill").textContent`); got != "Connected" {
		t.Errorf("status %q", got)
	}
	becomes(t, ctx, `document.getElementById("announce").textContent == "Northside Clinic: Connected"`)
	run(t, ctx, chromedp.KeyEvent("/"))
	if got := read(t, ctx, `document.activeElement.id`); got != "q" {
		t.Errorf("/ leads to %q", got)
	}

	tabs := chromedp.WaitNewTarget(ctx, func(i *target.Info) bool { return i.URL != "" })
	run(t, ctx, chromedp.Click(css(row(1)+" button")))
	tab, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(<-tabs))
	defer cancel()
	lands(t, tab, "#portal")
	got := <-w.arrivals
	if at := read(t, tab, "location.pathname"); got.origin != w.base || got.handover != handover || got.referer != w.base+"/" || at != "/" {
		t.Errorf("the site got %+v and ended at %s", got, at)
	}
}

// The page of relays follows them by itself.
func TestBrowserRelays(t *testing.T) {
	f := sample()
	f.sub.Root = true
	w := newWorld(t, f)
	ctx := browse(t)
	signIn(t, ctx, w, "/")
	run(t, ctx, chromedp.Click(css(`nav a[href="/relays"]`)), chromedp.WaitVisible(css("#relay-relay-1 .pill.up")))
	f.mu.Lock()
	f.relays[0].State = fleet.RelaySilent
	f.mu.Unlock()
	run(t, ctx, chromedp.WaitVisible(css("#relay-relay-1 .pill.down")))
}

// By link: the sign-in comes between and leads back, the page asks, the visit
// opens in the same tab, and "back" does not meet the handover's page.
func TestBrowserLink(t *testing.T) {
	w := newWorld(t, liveFake())
	ctx := browse(t)
	signIn(t, ctx, w, "/visit/pbx-00000001")
	if got := read(t, ctx, "document.title"); got != "Open Harbour Hotel · Trunkline" {
		t.Errorf("came to %q", got)
	}
	run(t, ctx, chromedp.Click(css(".dialog .primary")), chromedp.WaitVisible("#portal"))
	if got := <-w.arrivals; got.origin != w.base {
		t.Errorf("Origin %q", got.origin)
	}
	run(t, ctx, chromedp.NavigateBack(), chromedp.WaitVisible(css(".top")))
	if got := read(t, ctx, "document.title"); got != "Open Harbour Hotel · Trunkline" {
		t.Errorf("back leads to %q", got)
	}
}

// The first PBX appears on the empty page, and a session that ends shows the
// sign-in, both without anybody touching the page.
func TestBrowserEmptyThenSignedOut(t *testing.T) {
	f := newFake()
	w := newWorld(t, f)
	ctx := browse(t)
	signIn(t, ctx, w, "/")
	run(t, ctx, chromedp.WaitVisible("#empty"), chromedp.WaitVisible(css("#livedot:not(.lost)")))
	d := device(1, "First")
	d.Activated = time.Now()
	f.edit(d)
	run(t, ctx, chromedp.WaitVisible(css(row(1))))
	f.mu.Lock()
	clear(f.live)
	open := slices.Clone(f.watchers)
	f.mu.Unlock()
	for _, ch := range open {
		f.drop(ch)
	}
	run(t, ctx, chromedp.WaitVisible("#password"))
}

// Without JavaScript everything works: a snapshot, and Continue.
func TestBrowserWithoutScript(t *testing.T) {
	w := newWorld(t, liveFake())
	ctx := browse(t)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	signIn(t, ctx, w, "/visit/pbx-00000001")
	run(t, ctx,
		chromedp.Click(css(".dialog .primary")), chromedp.WaitVisible("#handover"),
		chromedp.Click(css("#handover button")), chromedp.WaitVisible("#portal"),
	)
	if got := <-w.arrivals; got.origin != w.base || got.handover != handover {
		t.Errorf("the site got %+v", got)
	}
}
