package page_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// browse starts Debian's Chromium; the context is a tab. What the page logs as
// an error, a breach of its policy above all, fails the test.
func browse(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed: run `make test-deps`")
		}
		t.Skip("chromium is not installed: run `make test-deps`")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 60*time.Second)
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

func css(s string) chromedp.CSS { return chromedp.CSS(s) }

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

func signUp(t *testing.T, ctx context.Context, w *world) {
	t.Helper()
	run(t, ctx, chromedp.Navigate(w.base+"/"),
		chromedp.SendKeys(css("#password"), password), chromedp.SendKeys(css("#again"), password+"\r"), chromedp.WaitVisible(css("#settings")))
}

// faults are fields without a label, ids that are there twice or lead nowhere,
// buttons without words, and what the keyboard does not reach.
const faults = `(() => {
  const all = [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], summary")];
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  return [
    ...all.filter(e => e.labels && e.matches("input, select, textarea") && e.labels.length != 1).map(e => "label of " + e.name),
    ...all.filter(e => e.matches("button, a, summary") && !e.textContent.trim()).map(e => "words of " + e.outerHTML),
    ...ids.filter((id, i) => ids.indexOf(id) != i).map(id => "twice " + id),
    ...[...document.querySelectorAll("[aria-describedby], [aria-labelledby]")].flatMap(e =>
      [e.getAttribute("aria-describedby"), e.getAttribute("aria-labelledby")].filter(id => id && !document.getElementById(id)).map(id => "nowhere " + id)),
    ...all.filter(e => e.tabIndex < 0).map(e => "keyboard " + e.outerHTML),
  ].join("; ");
})()`

// First use, a mistake, the right thing, and what changes meanwhile, seen
// without a reload and without losing what is being typed.
func TestBrowser(t *testing.T) {
	w := newWorld(t)
	ctx := browse(t)
	signUp(t, ctx, w)
	run(t, ctx,
		chromedp.SendKeys(css("#server"), "http://console.example.com"), chromedp.SendKeys(css("#email"), "tech@example.com"),
		chromedp.SendKeys(css("#password"), "right"), chromedp.SendKeys(css("#firmware"), "37.19.0.110"),
		chromedp.Click(css("#save")), chromedp.WaitVisible(css("#problem")))
	if at := read(t, ctx, "document.activeElement.id"); at != "server" {
		t.Errorf("the focus is at %q", at)
	}
	run(t, ctx,
		chromedp.Clear(css("#server")), chromedp.SendKeys(css("#server"), "console.example.com"), chromedp.SendKeys(css("#password"), "right\r"),
		chromedp.WaitVisible(css(".notice")))
	becomes(t, ctx, `document.getElementById("state").textContent == "Connected"`)

	if bad := read(t, ctx, faults); bad != "" {
		t.Errorf("not for everybody: %s", bad)
	}
	run(t, ctx, chromedp.Evaluate[chromedp.Void](`window.mine = 1`), chromedp.SendKeys(css("#model"), "typing"))
	v := id.NewVisit()
	w.desk.set(func(x *manage.View) {
		x.Status.State, x.Status.Reason = manage.LicenceExpired, "The licence expired."
		x.Now = []manage.Visit{{ID: v, Who: "Ann Example", Method: "account", From: time.Now()}}
	})
	becomes(t, ctx, `document.getElementById("state").textContent == "Licence expired" && document.getElementById("end-`+string(v)+`") != null`)
	if got := read(t, ctx, `document.activeElement.id + window.mine + document.getElementById("model").value`); got != "model1typingP560" && got != "model1P560typing" {
		t.Errorf("after an update: %q", got)
	}
	run(t, ctx, chromedp.Click(css("#end-"+string(v))), chromedp.WaitVisible(css("#live td[data-label=To]")))
	if left := read(t, ctx, `String(document.querySelectorAll("#live .act").length)`); left != "0" {
		t.Errorf("%s visits are left", left)
	}
	// The page stays open while the password is reset elsewhere.
	w.mu.Lock()
	w.hash = ""
	w.mu.Unlock()
	w.page.Forget()
	run(t, ctx, chromedp.WaitVisible(css("#again")))
}

// What does not belong to the chosen method and server is not asked.
func TestBrowserChoices(t *testing.T) {
	w := newWorld(t)
	w.desk.set(func(v *manage.View) { v.Default = "https://default.example.com" })
	ctx := browse(t)
	signUp(t, ctx, w)
	shown := func(want string) {
		t.Helper()
		becomes(t, ctx, `["server","email","password","code"].filter(i => document.getElementById(i).offsetParent).join() == "`+want+`"`)
	}
	choose := func(name, value string) {
		t.Helper()
		run(t, ctx, chromedp.Evaluate[chromedp.Void](`document.getElementById("`+name+`").value = "`+value+`"`))
	}
	shown("server,email,password")
	choose("method", "code")
	shown("server,code")
	choose("server_type", "default")
	shown("code")
}

// Without JavaScript everything works but the updates.
func TestBrowserWithoutScript(t *testing.T) {
	w := newWorld(t)
	ctx := browse(t)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	signUp(t, ctx, w)
	run(t, ctx,
		chromedp.SendKeys(css("#server"), "console.example.com"), chromedp.SendKeys(css("#email"), "tech@example.com"),
		chromedp.SendKeys(css("#password"), "right"), chromedp.SendKeys(css("#firmware"), "37.19.0.110\r"), chromedp.WaitVisible(css(".notice")),
		chromedp.Click(css("#access")), chromedp.WaitVisible(css("#access.primary")))
	if n := w.desk.changed(); n != 2 {
		t.Errorf("%d changes", n)
	}
}

// Pictures of the page for the eye: PAGE_SHOTS=<dir> go test -run Shots
func TestShots(t *testing.T) {
	dir := os.Getenv("PAGE_SHOTS")
	if dir == "" {
		t.Skip("PAGE_SHOTS is not set")
	}
	w := newWorld(t)
	ctx := browse(t)
	shot := func(name string, width int64, dark bool, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		scheme := map[bool]string{true: "dark", false: "light"}[dark]
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
		run(t, ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(w.base+"/"))
		run(t, ctx, append(steps, chromedp.Sleep(300*time.Millisecond))...)
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shot("first", 1280, false)
	shot("first-phone-dark", 390, true)
	signUp(t, ctx, w)
	shot("new", 1280, false)
	shot("refused", 1280, false, chromedp.SendKeys(css("#server"), "http://console.example.com\r"), chromedp.WaitVisible(css("#problem")))
	w.desk.set(func(v *manage.View) {
		v.Status = manage.Status{State: manage.Connected, Since: time.Now().Add(-time.Hour), Account: "ACME Telecom", Server: "https://console.example.com",
			Name: "Harbour Hotel", Relay: "relay-1", Device: "dev_0123456789abcdef"}
		v.Server, v.Email, v.Firmware.Value, v.Passwordless, v.Account = "https://console.example.com", "tech@example.com", "37.19.0.110", true, "remote"
		v.Now = []manage.Visit{{ID: id.NewVisit(), Who: "Ann Example", Method: "passwordless", From: time.Now().Add(-5 * time.Minute)}}
		for i := range 3 {
			v.Past = append(v.Past, manage.Visit{ID: id.NewVisit(), Who: "Ben Longername-Smythe", Method: "account", Code: fault.EndedByStaff, From: time.Now().Add(-time.Hour * 30 * time.Duration(i+1)), To: time.Now().Add(-time.Hour * 29 * time.Duration(i+1))})
		}
	})
	for name, width := range map[string]int64{"in": 1280, "in-phone": 390, "in-narrow": 320, "in-wide": 1920, "in-tablet": 800} {
		shot(name, width, false)
		shot(name+"-dark", width, true)
	}
	w.desk.set(func(v *manage.View) {
		v.Status = manage.Status{State: manage.ServerUnreachable, Since: time.Now().Add(-time.Hour), Reason: "relay relay-1.example.com:8443: dial tcp 192.0.2.7:8443: connect: connection refused",
			Account: "ACME Telecom", Server: "https://console.example.com", Device: "dev_0123456789abcdef", Tried: 7, TriedAt: "relay-1.example.com:8443", NextTry: time.Now().Add(time.Minute)}
	})
	shot("unreachable", 1280, false)
}
