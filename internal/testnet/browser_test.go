package testnet_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
)

const recordingSize = 8 << 20 // of every recording the simulated PBX lists

// desk is a world with one PBX and a browser in front of it.
type desk struct {
	*testnet.World
	pbx      *testnet.PBX
	portal   *pbxsim.Portal
	chromium context.Context
}

// What staff do all day, in a real browser.
func TestBrowser(t *testing.T) {
	need(t, "chromium")
	w := testnet.Start(t, nil)
	d := &desk{World: w, portal: w.Portal(nil)}
	d.pbx = w.Connect("3631A20C0042", d.portal.URL())
	d.chromium = startChromium(t, w)
	t.Run("visit", d.visit)
	t.Run("live status", d.liveStatus)
	t.Run("keyboard", d.keyboard)
	t.Run("no script", d.noScript)
}

func (d *desk) row() string { return "tr#" + string(d.pbx.Device) }

// signIn is a person in front of the list of devices.
func (d *desk) signIn(p *tab) {
	p.t.Helper()
	email, password := d.Login()
	p.open(d.Up.ConsoleURL())
	p.types("#email", email)
	p.types("#password", password+"\r")
	p.sees(d.row())
}

// From nothing to the PBX's own pages and their hard parts, to the visit's end.
func (d *desk) visit(t *testing.T) {
	p := person(t, d.chromium)
	email, password := d.Login()
	p.open(d.Up.ConsoleURL())
	p.sees("#password")
	p.shots("sign-in")
	p.clean()
	p.types("#email", email)
	p.types("#password", "not it\r")
	p.sees("#error")
	if got := read[string](p, `document.querySelector("#error code").textContent`); got != "wrong_login" {
		t.Errorf("a wrong password shows %q", got)
	}
	p.expect("401")
	p.types("#password", password+"\r")
	p.sees(d.row() + " .pill.up")
	if got := read[string](p, `document.querySelector("`+d.row()+` .pill").textContent`); got != "Connected" {
		t.Errorf("the PBX is %q", got)
	}
	p.sees("#livedot:not(.lost)")
	p.shots("list")

	q := p.follow(func() { p.click(d.row() + " button") })
	q.sees("#sign-in")
	site := fmt.Sprintf("https://%s.localhost:%s", d.pbx.Site, read[string](p, "location.port"))
	if got := read[string](q, "location.origin"); got != site {
		t.Errorf("the visit is at %s, not at %s", got, site)
	}
	q.do("reload", chromedp.Reload()) // all of it once more, watched from the start
	q.types("#username", testnet.SuperUser)
	q.types("#password", testnet.SuperPassword+"\r")
	d.dashboard(q)
	q.shots("portal")
	d.callMonitor(q, site)
	d.recording(q, site)
	d.firmware(q, site)
	q.clean()
	p.clean()

	p.open(d.Up.ConsoleURL() + "/visits")
	p.sees("#list form button")
	p.shots("visits")
	if got := read[string](p, `document.querySelector("#list tbody tr .sub").textContent`); got == "" {
		t.Error("the visit does not show where from")
	}
	p.click("#list form button")
	p.sees("#none-on")
	p.clean()
	q.click(`a[href="/extensions"]`)
	q.sees("main .facts")
	if got := read[string](q, `document.querySelector("main code").textContent`); got != "visit_ended_by_staff" {
		t.Errorf("after the end the portal's tab shows %q", got)
	}
	q.shots("visit-ended")
	q.expect("status")
}

// dashboard sees every asset load and the figures move.
func (d *desk) dashboard(q *tab) {
	q.t.Helper()
	q.sees("#system")
	q.becomes(`[...document.images].every((i) => i.complete && i.naturalWidth > 0)`)
	if n := read[int](q, `performance.getEntriesByType("resource").filter((r) => r.responseStatus === 200).length`); n < 50 {
		q.t.Errorf("%d assets loaded", n)
	}
	// The portal compresses its assets and not its pages: that is the agent's.
	if got := read[bool](q, `(([n]) => n.encodedBodySize > 0 && n.encodedBodySize < n.decodedBodySize / 2)(performance.getEntriesByType("navigation"))`); !got {
		q.t.Error("the page came as it is")
	}
	q.becomes(`Number(document.querySelector("#sse-tick").textContent) >= 1`)
	first := read[int](q, `Number(document.querySelector("#sse-tick").textContent)`)
	q.becomes(fmt.Sprintf(`Number(document.querySelector("#sse-tick").textContent) > %d`, first))
	q.clean()
}

// callMonitor sees the WebSocket's messages arrive, over the connection that the
// page came by.
func (d *desk) callMonitor(q *tab, site string) {
	q.t.Helper()
	q.open(site + "/calls")
	q.becomes(`Number(document.querySelector("#tick").textContent) >= 3 && document.querySelector("#call-monitor").dataset.state === "live"`)
	q.mu.Lock()
	status := q.socket
	q.mu.Unlock()
	if status != 200 { // 101 is HTTP/1.1's
		q.t.Errorf("the WebSocket's handshake was answered %d", status)
	}
	q.clean()
}

// recording downloads one from the page.
func (d *desk) recording(q *tab, site string) {
	q.t.Helper()
	q.open(site + "/recordings")
	link := read[string](q, `document.querySelector("#recordings tbody a").id`)
	n, err := strconv.Atoi(regexp.MustCompile(`\d+$`).FindString(link))
	if err != nil {
		q.t.Fatal(err)
	}
	got := fileSHA256(q.t, q.download(func() { q.click("#" + link) }))
	if want := pbxsim.RecordingSHA256(n, recordingSize); got != want {
		q.t.Errorf("recording %d arrived as %s, not %s", n, got, want)
	}
	q.clean()
}

// firmware uploads an image by the form.
func (d *desk) firmware(q *tab, site string) {
	q.t.Helper()
	file := filepath.Join(q.t.TempDir(), "firmware.bin")
	want := noise(q.t, file, 12<<20+1)
	q.open(site + "/maintenance")
	q.do("choose a file", chromedp.SetUploadFiles(chromedp.CSS("#firmware"), []string{file}))
	q.click("#upload button")
	q.becomes(`document.querySelector("#upload-result").textContent.includes("` + want + `")`)
	q.clean()
}

// A tunnel's end and return show in the open list by themselves.
func (d *desk) liveStatus(t *testing.T) {
	p := person(t, d.chromium)
	d.signIn(p)
	p.sees("#livedot:not(.lost)")
	read[bool](p, `window.sameDocument = true`)
	d.pbx.Stop()
	p.sees(d.row() + " .pill.down")
	p.becomes(`document.querySelector("` + d.row() + ` .why").textContent.includes("stopped")`)
	p.sees(d.row() + " button:disabled")
	p.shots("list-disconnected")
	d.pbx.Run()
	p.sees(d.row() + " .pill.up")
	p.sees(d.row() + " button:enabled")
	if !read[bool](p, `window.sameDocument === true`) {
		t.Error("the page was loaded again")
	}
	p.clean()
}

// Nothing but Tab and Enter, from the sign-in to the portal.
func (d *desk) keyboard(t *testing.T) {
	d.pbx.AwaitStatus(controlapi.StatusConnected)
	p := person(t, d.chromium)
	email, password := d.Login()
	p.open(d.Up.ConsoleURL())
	p.sees("#email:focus") // where one would type first
	p.press(email)
	p.tabTo("#password")
	p.press(password)
	p.tabTo("button.primary")
	p.press("\r")
	p.sees(d.row())
	p.tabTo(d.row() + " button")
	q := p.follow(func() { p.press("\r") })
	q.sees("#username:focus")
	q.press(testnet.AdminUser)
	q.tabTo("#password")
	q.press(testnet.AdminPassword + "\r")
	q.sees("#system")
	q.clean()
	p.clean()
}

// Without JavaScript: the sign-in, the list, and Continue on the way to the PBX.
func (d *desk) noScript(t *testing.T) {
	d.pbx.AwaitStatus(controlapi.StatusConnected)
	p := person(t, startChromium(t, d.World, chromedp.Flag("blink-settings", "scriptEnabled=false")))
	d.signIn(p)
	p.sees(d.row() + " .pill.up")
	q := p.follow(func() { p.click(d.row() + " button") })
	q.sees("#handover button")
	q.click("#handover button")
	q.sees("#sign-in")
	q.clean()
	p.clean()
}

// noise writes size bytes that do not compress, the same in every run, and is
// their SHA-256.
func noise(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{1}), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func fileSHA256(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
