package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

// What controls and relays of commit bd5bcb5 tell each other over NATS, byte by byte. It
// is what one version behind says and understands, so none of it is ever changed or made
// anew: a form that comes to be written beside it gets a line of its own.

const (
	aDevice = id.Device("dev_0123456789abcdef")
	aVisit  = id.Visit("vis_0123456789abcdef")
	account = id.Account("acc_0123456789abcdef")
	trace   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// was checks that wire is read as is, also with members of a next version in it, and that
// is is written as wire.
func was[T any](t *testing.T, wire string, is T) {
	t.Helper()
	const more = `{"from_the_next_version":[{}],"`
	next := strings.ReplaceAll(wire, `{"`, more)
	next = strings.ReplaceAll(next, `"labels":`+more, `"labels":{"`) // those are the operator's
	for _, b := range []string{wire, next} {
		var got T
		if err := bus.DecodeForTest([]byte(b), &got); err != nil {
			t.Errorf("%s: %v", b, err)
		} else if d := cmp.Diff(is, got); d != "" {
			t.Errorf("%s is read as another: %s", b, d)
		}
	}
	if b, err := json.Marshal(is); err != nil || string(b) != wire {
		t.Errorf("written is %s, %v; whoever is a version behind knows %s", b, err, wire)
	}
}

func TestRoutesOfBefore(t *testing.T) {
	up := bus.Route{
		Relay: "relay-1", Device: aDevice, Site: "pbx-acme", Account: account, Tunnel: "tun_0123456789abcdef", Since: noon, Fault: fault.PortalRefused,
		Portal:  tunnel.Portal{Origin: "https://127.0.0.1:8088", Aliases: []string{"http://pbx.example.com"}},
		Standby: &tunnel.Standby{Type: "primary", Role: "active", Peer: "3631A20C0042", Claim: 3},
		Logins:  tunnel.Logins{Account: true, Passwordless: true, AutoLogout: 15}, Agent: "1.0.0", Remote: "192.0.2.7:40000", Second: true,
	}
	was(t, `{"relay":"relay-1","device":"dev_0123456789abcdef","site":"pbx-acme","account":"acc_0123456789abcdef","tunnel":"tun_0123456789abcdef","since":"2026-03-01T12:00:00Z","fault":"portal_refused",`+
		`"portal":{"origin":"https://127.0.0.1:8088","aliases":["http://pbx.example.com"]},"standby":{"type":"primary","role":"active","peer":"3631A20C0042","claim":3},`+
		`"logins":{"account":true,"passwordless":true,"auto_logout":15},"agent":"1.0.0","remote":"192.0.2.7:40000","second":true}`, up)
	down := bus.Route{Relay: "relay-1", Device: aDevice, Site: "pbx-acme", Account: account, Tunnel: "tun_0123456789abcdef", Since: noon, Down: fault.PeerSilent}
	was(t, `{"relay":"relay-1","device":"dev_0123456789abcdef","site":"pbx-acme","account":"acc_0123456789abcdef","tunnel":"tun_0123456789abcdef","since":"2026-03-01T12:00:00Z","down":"peer_silent",`+
		`"portal":{"origin":""}}`, down)
	if key := bus.RouteKey("relay-1", aDevice); key != "relay-1.dev_0123456789abcdef" {
		t.Errorf("a route's key is %s", key)
	}
}

func TestLeasesOfBefore(t *testing.T) {
	was(t, `{"relay":"relay-1","addrs":["relay-1.example.com:8443"],"started":"2026-03-01T12:00:00Z","draining":true,"peer":"192.0.2.1:8443","peer_versions":[1],"region":"eu",`+
		`"load":{"tunnels":20000,"tunnels_max":50000,"cpu":0.25},"version":"1.0.0","labels":{"rack":"a1"}}`,
		bus.Lease{
			Relay: "relay-1", Addrs: []string{"relay-1.example.com:8443"}, Started: noon, Draining: true, Peer: "192.0.2.1:8443", PeerVersions: []int{1}, Region: "eu",
			Load: bus.Load{Tunnels: 20_000, TunnelsMax: 50_000, CPU: 0.25}, Version: "1.0.0", Labels: map[string]string{"rack": "a1"},
		})
}

func TestKeysOfBefore(t *testing.T) {
	const secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	ones := []byte(strings.Repeat("\x01", 32))
	const times = `"not_before":"2026-03-01T12:00:00Z","not_after":"2026-03-01T13:00:00Z"}`
	end := noon.Add(time.Hour)
	was(t, `{"id":"k1","public":"`+secret+`",`+times, token.PassKey{ID: "k1", Public: ones, NotBefore: noon, NotAfter: end})
	was(t, `{"id":"k1","secret":"`+secret+`",`+times, token.SealKey{ID: "k1", Secret: ones, NotBefore: noon, NotAfter: end})
	was(t, `{"id":"k1","cert":"AQEB",`+times, peercert.Root{ID: "k1", Cert: ones[:3], NotBefore: noon, NotAfter: end})
}

func TestVisitsOfBefore(t *testing.T) {
	was(t, `{"visit":{"id":"vis_0123456789abcdef","site":"pbx-acme","device":"dev_0123456789abcdef","account":"acc_0123456789abcdef","user":"usr_0123456789abcdef",`+
		`"who":"Ann \u003cann@example.com\u003e","method":"account","idle":900000000000,"started":"2026-03-01T12:00:00Z","expires":"2026-03-01T20:00:00Z","seen":"2026-03-01T12:01:00Z",`+
		`"trace":"`+trace+`"},"expires":"2026-03-01T12:01:00Z","used":true}`,
		bus.Handover{
			Visit: token.Visit{
				ID: aVisit, Site: "pbx-acme", Device: aDevice, Account: account, User: "usr_0123456789abcdef", Who: "Ann <ann@example.com>", Method: token.MethodAccount,
				Idle: 15 * time.Minute, Started: noon, Expires: noon.Add(8 * time.Hour), Seen: noon.Add(time.Minute), Trace: trace,
			},
			Expires: noon.Add(time.Minute), Used: true,
		})
	was(t, `{"visit":"vis_0123456789abcdef","relay":"relay-1","kind":"ended","code":"visit_idle","at":"2026-03-01T12:00:00Z","remote":"192.0.2.9","bytes_in":1000,"bytes_out":2000,"requests":30,"trace":"`+trace+`"}`,
		bus.VisitEvent{
			Visit: aVisit, Relay: "relay-1", Kind: "ended", Code: fault.VisitIdle, At: noon, Remote: "192.0.2.9", BytesIn: 1000, BytesOut: 2000, Requests: 30, Trace: trace,
		})
	was(t, `{"code":"device_removed","at":"2026-03-01T12:00:00Z","until":"2026-03-02T12:00:00Z"}`,
		bus.Revocation{Code: fault.DeviceRemoved, At: noon, Until: noon.Add(24 * time.Hour)})
}

func TestNoticesOfBefore(t *testing.T) {
	was(t, `{"from":"control-1","device":"dev_0123456789abcdef","removed":true,"account":"acc_0123456789abcdef","group":"grp_0123456789abcdef","site":"pbx-acme"}`,
		bus.DeviceNotice{From: "control-1", Device: aDevice, Removed: true, Account: account, Group: "grp_0123456789abcdef", Site: "pbx-acme"})
	// bd5bcb5 writes an empty device here, which nobody can read.
	was(t, `{"from":"control-1","visit":true,"site":"pbx-acme"}`, bus.DeviceNotice{From: "control-1", Visit: true, Site: "pbx-acme"})
	was(t, `{"account":"acc_0123456789abcdef","device":"dev_0123456789abcdef","within_ms":60000}`, bus.WishNotice{Account: account, Device: aDevice, WithinMS: 60_000})
	was(t, `{"account":"acc_0123456789abcdef"}`, bus.WishNotice{Account: account})
}

// Where it is told. A name that changes is one where nobody listens.
func TestNamesOfBefore(t *testing.T) {
	for got, is := range map[string]string{
		bus.Routes: "routes", bus.Relays: "relays", bus.Keys: "keys", bus.Revocations: "revocations", bus.Handovers: "handovers",
		bus.SubjectVisitEvent: "visit.event", bus.SubjectPeerCertificate: "peer.certificate", bus.SubjectDevices: "devices", bus.SubjectWishes: "wishes",
	} {
		if got != is {
			t.Errorf("%s was called %s", got, is)
		}
	}
}

func TestCallsOfBefore(t *testing.T) {
	const (
		request = `{"request":"AQID"}`
		yes     = `{"answer":{"cert":"BAUG"}}`
		no      = `{"fault":{"code":"too_many_requests","message":"Wait.","field":"name","retry_ms":1500}}`
	)
	was(t, request, bus.PeerRequest{Request: []byte{1, 2, 3}})
	refusal := fault.New(fault.TooMany, "Wait.").In("name").After(1500 * time.Millisecond)
	b := open(t, bus.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()

	// Who asks is of before.
	answer := func(_ context.Context, q bus.PeerRequest) (bus.PeerCertificate, error) {
		if len(q.Request) != 3 {
			return bus.PeerCertificate{}, refusal
		}
		return bus.PeerCertificate{Cert: []byte{4, 5, 6}}, nil
	}
	stop, err := bus.Handle(b, "old.asks", answer)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stopAs, err := bus.HandleAs(b, "old.asks", func(ctx context.Context, r id.Relay, q bus.PeerRequest) (bus.PeerCertificate, error) {
		if r != "relay-1" {
			t.Errorf("asked by %s", r)
		}
		return answer(ctx, q)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stopAs()
	for _, subject := range []string{"trunkline.rpc.old.asks", "trunkline.as.relay-1.old.asks"} {
		for q, a := range map[string]string{request: yes, `{"request":""}`: no} {
			if m, err := b.ConnForTest().RequestWithContext(ctx, subject, []byte(q)); err != nil || string(m.Data) != a {
				t.Errorf("%s: %s is answered %+v, %v; it was %s", subject, q, m, err, a)
			}
		}
	}

	// Who answers is.
	replies := map[string]string{request: yes, `{"request":""}`: no}
	for _, subject := range []string{"trunkline.rpc.old.answers", "trunkline.as.relay-1.old.answers"} {
		sub, err := b.ConnForTest().Subscribe(subject, func(m *nats.Msg) {
			if m.Header.Get("Trunkline-Timeout") == "" {
				t.Error("a call does not say for how long it waits")
			}
			_ = m.Respond([]byte(replies[string(m.Data)]))
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for _, call := range []func(bus.PeerRequest) (bus.PeerCertificate, error){
		func(q bus.PeerRequest) (bus.PeerCertificate, error) {
			return bus.Call[bus.PeerRequest, bus.PeerCertificate](ctx, b, "old.answers", q)
		},
		func(q bus.PeerRequest) (bus.PeerCertificate, error) {
			return bus.CallAs[bus.PeerRequest, bus.PeerCertificate](ctx, b, "relay-1", "old.answers", q)
		},
	} {
		if a, err := call(bus.PeerRequest{Request: []byte{1, 2, 3}}); err != nil || string(a.Cert) != "\x04\x05\x06" {
			t.Errorf("an answer of before: %v, %v", a, err)
		}
		_, err := call(bus.PeerRequest{Request: []byte{}})
		var got *fault.Error
		if !errors.As(err, &got) || *got != *refusal {
			t.Errorf("a refusal of before: %v", err)
		}
	}
}
