package testnet_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
)

const pagePassword = "a page of one's own"

// setUp opens a PBX's page for the first time.
func (p *tab) setUp(pbx *testnet.PBX) {
	p.t.Helper()
	p.open(pbx.Page)
	p.types("#password", pagePassword)
	p.types("#again", pagePassword+"\r")
	p.sees("#settings")
	p.state("Not activated")
}

func (p *tab) state(want string) {
	p.t.Helper()
	p.becomes(`document.getElementById("state") && document.getElementById("state").textContent === ` + quote(want))
}

func (p *tab) choose(selector, value string) {
	p.t.Helper()
	read[bool](p, `document.querySelector(`+quote(selector)+`).value = `+quote(value)+`, true`)
}

// trusts pastes the installation's CA under Advanced.
func (p *tab) trusts(w *testnet.World) {
	p.t.Helper()
	ca, err := os.ReadFile(w.Up.CA().File())
	if err != nil {
		p.t.Fatal(err)
	}
	p.click("summary")
	p.do("paste the CA", chromedp.SetValue(chromedp.CSS("#ca"), string(ca)))
}

// A PBX out of its box: its staff type the provider's code into its page and
// see it connect; see who is in, and end that; close the door, which staff at
// the provider are told; open it; and connect it anew, by e-mail.
func TestChromiumRemoteManagement(t *testing.T) {
	w := testnet.Start(t, nil)
	portal := w.Portal(func(*pbxsim.Config) {})
	added, err := w.API.AddDevice(t.Context(), controlapi.NewDevice{Name: "Front desk"})
	if err != nil {
		t.Fatal(err)
	}
	pbx := w.Unbox("3631A20C0042", portal.URL())
	pbx.Run()
	p := person(t, startChromium(t, w))
	p.setUp(pbx)
	p.types("#server", strings.TrimPrefix(w.Up.ConsoleURL(), "https://"))
	p.choose("#method", "code")
	p.types("#code", "K7QM-4XWZ-9T2P-HD3V")
	p.click("#save")
	p.sees("#problem") // nobody vouches for the server
	p.expect("503")
	p.trusts(w)
	p.types("#code", "K7QM-4XWZ-9T2P-HD3V") // not the provider's
	p.click("#save")
	p.becomes(`document.getElementById("problem")?.textContent.includes("rejected")`)
	p.expect("403")
	p.do("clear the code", chromedp.Clear(chromedp.CSS("#code")))
	p.types("#code", strings.ToLower(added.Code)+"\r")
	p.state("Connected")
	pbx.Device = added.Device.ID
	pbx.AwaitStatus(controlapi.StatusConnected)

	v := pbx.Visit()
	if _, err := v.Fetch(t.Context(), "/login"); err != nil {
		t.Fatal(err)
	}
	p.becomes(`document.querySelector("#live .act button") !== null`)
	p.click("#live .act button")
	p.becomes(`document.querySelector("#live td[data-label=To] time") !== null`)
	if _, err := v.Fetch(t.Context(), "/login"); err == nil {
		t.Error("the visit goes on")
	}

	p.click("#access")
	p.state("Remote access is off")
	w.Eventually("staff are told", func() error {
		d, err := w.API.Device(t.Context(), pbx.Device)
		if err == nil && d.Reason != fault.RemoteOff {
			err = fmt.Errorf("%s: %q", d.Status, d.Reason)
		}
		return err
	})
	p.click("#access")
	p.state("Connected")

	email, password := w.Login()
	p.choose("#method", "email")
	p.types("#email", email)
	p.types("#password", password+"\r")
	p.sees(".notice")
	p.becomes(`document.querySelector(".notice").textContent.includes("has taken this PBX")`)
	p.state("Connected")
	if d := pbx.AwaitStatus(controlapi.StatusConnected); d.Name != "Front desk" {
		t.Errorf("it is %q now", d.Name)
	}
	p.clean()
}
