package testnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"trunkline/internal/testnet"
)

// download does what makes the browser save one file, and is that file.
func (p *tab) download(step func()) (path string) {
	p.t.Helper()
	dir := p.t.TempDir()
	done := make(chan *browser.EventDownloadProgress, 1)
	if err := chromedp.ListenBrowser(p.ctx, func(ev any) {
		if e, ok := ev.(*browser.EventDownloadProgress); ok && e.State != browser.DownloadProgressStateInProgress {
			select {
			case done <- e:
			default:
			}
		}
	}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := chromedp.CallBrowser(p.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: new(true),
		BrowserContextID: p.context(),
	}); err != nil {
		p.t.Fatal(err)
	}
	step()
	select {
	case e := <-done:
		if e.State != browser.DownloadProgressStateCompleted {
			p.t.Fatalf("download %s after %v of %v bytes", e.State, e.ReceivedBytes, e.TotalBytes)
		}
		return filepath.Join(dir, e.GUID)
	case <-time.After(testnet.Patience):
		p.t.Fatal("the download did not end")
		return ""
	}
}

// context is whose cookies the tab has.
func (p *tab) context() cdp.BrowserContextID {
	p.t.Helper()
	c := chromedp.FromContext(p.ctx)
	all, err := chromedp.Targets(p.ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(i *target.Info) bool { return i.TargetID == c.Target.TargetID })
	if i < 0 {
		p.t.Fatal("the tab is gone")
	}
	return all[i].BrowserContextID
}

// shots are pictures of the page as it is, for the eye: on a desk and on a
// phone, by day and by night. TRUNKLINE_SCREENSHOTS is where to; without it
// nobody would look.
func (p *tab) shots(name string) {
	p.t.Helper()
	if os.Getenv("TRUNKLINE_SCREENSHOTS") == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			p.shoot(fmt.Sprintf("%s-%s-%d", name, scheme, width), width, scheme)
		}
	}
	p.do("back to the desk", chromedp.EmulateViewport(1280, 900))
	p.scheme("light")
}

func (p *tab) shoot(name string, width int64, scheme string) {
	p.scheme(scheme)
	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		p.t.Errorf("picture %s: %v", name, err)
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	dir := os.Getenv("TRUNKLINE_SCREENSHOTS")
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		p.t.Errorf("picture %s: %v", name, err)
	}
}

func (p *tab) scheme(name string) {
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		p.t.Errorf("emulate %s: %v", name, err)
	}
}
