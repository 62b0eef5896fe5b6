package testnet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"trunkline/internal/testnet"
)

// need finds a program that Debian packages; without it the test is skipped,
// but not where nobody would notice.
func need(t *testing.T, program string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts programs")
	}
	path, err := exec.LookPath(program)
	if err != nil { // the system's programs are not in everybody's PATH
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		why := program + " is not installed: run `make test-deps`"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return path
}

// startChromium runs a browser until the test ends, with a profile of its own,
// that takes the world's certificates and nobody else's bad ones.
func startChromium(t *testing.T, w *testnet.World, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(need(t, "chromium")), chromedp.Flag("headless", "new"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", w.Up.CA().LeafSPKI()), // heeded only with a profile's directory
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(opts, more...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // waits until the profile is written to no more
		closing, done := context.WithTimeout(ctx, testnet.Patience)
		defer done()
		if err := chromedp.Cancel(closing); err != nil {
			t.Errorf("close chromium: %v", err)
		}
	})
	return ctx
}

// tab is a page and everything that has gone wrong in it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	urls   map[network.RequestID]string
	wrong  []string
	socket int64 // the status that the last WebSocket's handshake was answered with
}

// person opens a tab with cookies of its own.
func person(t *testing.T, chromium context.Context) *tab {
	t.Helper()
	return openTab(t, chromium, chromedp.WithNewBrowserContext())
}

func openTab(t *testing.T, parent context.Context, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	p := &tab{t: t, urls: make(map[network.RequestID]string)}
	ctx, cancel := chromedp.NewContext(parent, append(opts, chromedp.WithListener(p.heard))...)
	t.Cleanup(cancel)
	p.ctx = ctx
	p.do("attach")
	t.Cleanup(func() {
		if t.Failed() {
			p.shoot("failed-"+strings.ReplaceAll(t.Name(), "/", "-"), 1280, "light")
		}
	})
	return p
}

// heard keeps what a person with the developer tools open would frown at.
func (p *tab) heard(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := func(format string, args ...any) { p.wrong = append(p.wrong, fmt.Sprintf(format, args...)) }
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		p.urls[e.RequestID] = e.Request.URL
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			bad("status %d: %s", e.Response.Status, e.Response.URL)
		}
	case *network.EventResponseReceivedExtraInfo:
		for _, c := range e.BlockedCookies {
			bad("cookie refused %v: %s", c.BlockedReasons, c.CookieLine)
		}
	case *network.EventLoadingFailed:
		// Leaving a page cancels its event stream, a download its navigation.
		// Without a URL it is the developer tools' own, for what came before them.
		if url := p.urls[e.RequestID]; !e.Canceled && url != "" {
			bad("request failed, %s %s: %s", e.ErrorText, e.BlockedReason, url)
		}
	case *network.EventWebSocketHandshakeResponseReceived:
		p.socket = e.Response.Status
	case *network.EventWebSocketFrameError:
		bad("WebSocket: %s", e.ErrorMessage)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text = x.Description
		}
		bad("exception: %.200s %s", text, e.ExceptionDetails.URL)
	case *cdplog.EventEntryAdded: // breaches of a page's policy are here
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Source == cdplog.EntrySourceSecurity {
			bad("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}
}

// expect clears what went wrong and has said in it; anything else fails.
func (p *tab) expect(said string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		if said == "" || !strings.Contains(w, said) {
			p.t.Errorf("went wrong: %s", w)
		}
	}
	if said != "" && len(p.wrong) == 0 {
		p.t.Errorf("the browser did not report %q", said)
	}
	p.wrong = nil
}

// forgive forgets what went wrong and is not ours.
func (p *tab) forgive(said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = slices.DeleteFunc(p.wrong, func(w string) bool { return strings.Contains(w, said) })
}

// clean fails if anything has gone wrong since the last look.
func (p *tab) clean() {
	p.t.Helper()
	p.expect("")
}

func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx := p.ctx
	if len(steps) > 0 { // attaching has the tab's own context: the tab ends with it
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, testnet.Patience)
		defer cancel()
	}
	err := chromedp.Do(ctx, steps...)
	for tries := 0; tries < 3 && (gone(err) || len(steps) == 0 && moved(err)); tries++ {
		err = chromedp.Do(ctx, steps...)
	}
	if err != nil {
		p.t.Fatalf("%s, at %s: %v", what, p.where(), err)
	}
}

// moved is what attaching to a tab is told whose page makes way for the next one
// just then, as the handover of a visit does.
func moved(err error) bool {
	e, ok := errors.AsType[*cdproto.Error](err)
	return ok && e.Code == -32000 && strings.HasPrefix(e.Message, "Inspected target navigated or closed")
}

// gone is what a step is told that had found its element just before the page
// put another in its place; it has done nothing yet. There is no code of its
// own for that.
func gone(err error) bool {
	e, ok := errors.AsType[*cdproto.Error](err)
	return ok && e.Code == -32000 && strings.HasPrefix(e.Message, "Could not find node")
}

func (p *tab) where() string {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return at
}

func (p *tab) open(url string) {
	p.t.Helper()
	p.do("open "+url, chromedp.Navigate(url))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

func (p *tab) sees(selector string) {
	p.t.Helper()
	p.do("see "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

func (p *tab) types(selector, text string) {
	p.t.Helper()
	p.do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// read is what an expression is in the page.
func read[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// becomes waits until an expression is true in the page, or in the one it
// leads to: an error may be that the page was left meanwhile.
func (p *tab) becomes(expression string) {
	p.t.Helper()
	testnet.Eventually(p.t, "in the page: "+expression, func() error {
		yes, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](expression))
		if err == nil && !yes {
			err = fmt.Errorf("not true at %s", p.where())
		}
		return err
	})
}

// follow does what opens a new tab, and is in that tab. As a person would, it
// tries again when nothing happens: the page may just have been drawn anew.
func (p *tab) follow(step func()) *tab {
	p.t.Helper()
	tabs := chromedp.WaitNewTarget(p.ctx, func(i *target.Info) bool { return i.Type == "page" })
	for range 3 {
		step()
		select {
		case id := <-tabs:
			return openTab(p.t, p.ctx, chromedp.WithTargetID(id))
		case <-time.After(testnet.Patience / 3):
		}
	}
	p.t.Fatal("no new tab opened")
	return nil
}

// press gives the keys to whatever has the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do("press a key", chromedp.KeyEvent(keys))
}

// tabTo presses Tab until the selector has the focus, which must be visible.
func (p *tab) tabTo(selector string) {
	p.t.Helper()
	for range 40 {
		p.press("\t")
		if read[bool](p, `document.activeElement.matches(`+quote(selector)+`)`) {
			if outline := read[string](p, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
				p.t.Errorf("%s has the focus and does not show it", selector)
			}
			return
		}
	}
	p.t.Fatalf("Tab never comes to %s", selector)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `\'`) + "'" }

// visits signs in to the console if need be, opens a PBX from its link, and is
// in the portal, in the same tab. It returns the site's origin.
func (p *tab) visits(t *testing.T, w *testnet.World, pbx *testnet.PBX) (site string) {
	t.Helper()
	p.t = t
	p.open(fmt.Sprintf("%s/visit/%s", w.Up.ConsoleURL(), pbx.Site))
	p.signIn(w)
	p.click("#state button.primary")
	p.becomes(`location.hostname.startsWith("` + string(pbx.Site) + `.") && document.readyState === "complete" && location.pathname !== "/.trunkline/visit"`)
	return read[string](p, "location.origin")
}
