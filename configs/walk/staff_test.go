package walk_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
)

const console = "https://console.pbx.example.com"

// staff is a person of the provider's with a browser: the DNS has all names but the
// machines' at the load balancer.
type staff struct {
	tls *tls.Config
	api *controlapi.Client
	pbx id.Device
	in  *visitor.Visitor // the visit that is open
}

// signIn finds the one PBX connected.
func signIn(t *testing.T, ca *authority, login string) *staff {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	p := &staff{tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	api, err := controlapi.NewClient(console, &http.Client{Transport: p.to(t, balancer)})
	if err != nil {
		t.Fatal(err)
	}
	session, err := api.SignIn(t.Context(), owner, login)
	if err != nil {
		t.Fatal(err)
	}
	p.api = api.WithToken(session.Token)
	page, err := p.api.Devices(t.Context(), controlapi.DeviceQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != controlapi.StatusConnected {
		t.Fatalf("control knows %+v, %v", page.Items, err)
	}
	p.pbx = page.Items[0].ID
	return p
}

// to reaches all names at one address.
func (p *staff) to(t *testing.T, host string) *http.Transport {
	tr := controlapi.NewTransport(p.tls)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// visit opens one.
func (p *staff) visit(ctx context.Context, through http.RoundTripper) error {
	start, err := p.api.StartVisit(ctx, controlapi.VisitRequest{Device: p.pbx})
	if err != nil {
		return err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		return err
	}
	in, err := visitor.New(p.tls, u.Scheme+"://"+u.Host)
	if err != nil {
		return err
	}
	in.Transport = through
	resp, err := in.Redeem(ctx, console, start.URL, start.Handover)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("a new visit: %s", resp.Status)
	}
	p.in = in
	return nil
}

// relay is the machine that the PBX is connected to.
func (p *staff) relay(t *testing.T) string {
	t.Helper()
	d, err := p.api.Device(t.Context(), p.pbx)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(d.Relay), "relay-")
}

// page is one of the portal.
func (p *staff) page(ctx context.Context) error {
	page, err := p.in.Fetch(ctx, "/login")
	if err == nil && !bytes.Contains(page, []byte("<html")) {
		err = fmt.Errorf("the portal: %.100q", page)
	}
	return err
}

func (p *staff) sees(t *testing.T, by, when string) {
	t.Helper()
	if err := p.page(t.Context()); err != nil {
		t.Errorf("the portal through %s, %s: %v", by, when, err)
		return
	}
	t.Logf("the portal is seen through %s, %s", by, when)
}

// seesEverywhere looks through the load balancer, and through each relay that the
// PBX is not connected to.
func (p *staff) seesEverywhere(t *testing.T) {
	t.Helper()
	at := p.relay(t)
	when := "with the PBX at relay-" + at
	p.sees(t, "the load balancer", when)
	through := p.in.Transport
	defer func() { p.in.Transport = through }()
	for m, addr := range addresses {
		if m != at {
			p.in.Transport = p.to(t, addr)
			p.sees(t, "relay-"+m, when)
		}
	}
}

// backWithin is far more than it takes, which is told: a loss is no benchmark.
const backWithin = 90 * time.Second

// goesOnWithout takes away a machine while somebody visits a PBX that is connected to
// it. The open visit, the console and the PBX are well without it, and another visit
// can be opened.
func (p *staff) goesOnWithout(t *testing.T, machine, how string, take func() error) {
	t.Helper()
	began := time.Now()
	since := func(at time.Time) float64 { return at.Sub(began).Seconds() }
	gone := make(chan error, 1)
	go func() { gone <- take() }()
	var taken, shown time.Time
	var slowest time.Duration
	var said string // each reason once, until there is another
	for pages := 1; ; pages++ {
		select {
		case err := <-gone:
			if err != nil {
				t.Fatalf("%s is not %s: %v", machine, how, err)
			}
			taken = time.Now()
		default:
		}
		asked := time.Now()
		err := p.page(t.Context())
		slowest = max(slowest, time.Since(asked))
		if err == nil {
			err = p.isElsewhere(t.Context(), machine)
		}
		if err == nil && !taken.IsZero() {
			if shown.IsZero() {
				shown = time.Now()
			}
			if err = p.visit(t.Context(), p.to(t, balancer)); err == nil {
				t.Logf("%s is %s: after %.1f s; of %d pages the slowest took %.1f s; the console shows the PBX elsewhere after %.1f s; a visit was opened after %.1f s",
					machine, how, since(taken), pages, slowest.Seconds(), since(shown), since(time.Now()))
				break
			}
		}
		if err != nil && err.Error() != said {
			said = err.Error()
			t.Logf("%s is %s: %.1f s after that began: %s", machine, how, since(time.Now()), said)
		}
		if !taken.IsZero() && time.Since(taken) > backWithin {
			t.Fatalf("%s is %s, and not all is well after %s: %v", machine, how, backWithin, err)
		}
		time.Sleep(500 * time.Millisecond) // as somebody clicks
	}
	p.sees(t, "the load balancer", "by a visit that was opened while "+machine+" was "+how)
}

// isElsewhere reports why the console does not show the PBX as connected to another
// machine.
func (p *staff) isElsewhere(ctx context.Context, machine string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	d, err := p.api.Device(ctx, p.pbx)
	if err == nil && (d.Status != controlapi.StatusConnected || d.Relay == id.Relay("relay-"+machine)) {
		err = fmt.Errorf("the console says %s at %s", d.Status, d.Relay)
	}
	return err
}
