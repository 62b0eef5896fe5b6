package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

const (
	goodToken = "good-token"
	aDevice   = id.Device("dev_0123456789abcdef")
	aVisit    = id.Visit("vis_0123456789abcdef")
	aUser     = id.User("usr_0123456789abcdef")
	anAccount = id.Account("acc_0123456789abcdef")
)

var (
	then   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	anna   = fleet.Principal{User: aUser, Account: anAccount, Email: "anna@example.com", Name: "Anna", Role: fleet.RoleOwner, Session: "hash"}
	remote = netip.MustParseAddr("192.0.2.7")
	acme   = fleet.Device{
		ID: aDevice, Account: anAccount, Site: "pbx-acme", Serial: "SN-0001", Name: "Acme", Model: "P550", Firmware: "37.20.0.1",
		Activated: then, Presence: fleet.Presence{Status: fleet.StatusDisconnected, Reason: fault.PeerSilent, Since: then, Relay: "relay-1"},
	}
	aGrant = fleet.Grant{
		Device: aDevice, Site: "pbx-acme", Name: "Acme", Account: "Root", Pass: "the.pass", Issued: then, Expires: then.Add(24 * time.Hour),
		Relays: []string{"relay-1.example.com:8443"}, LicenceLeft: 90 * time.Minute,
	}
	aStart = token.Visit{ID: aVisit, Site: "pbx-acme", Device: aDevice, Account: anAccount, User: aUser, Who: "Anna <anna@example.com>",
		Method: "account", Idle: 15 * time.Minute, Started: then, Expires: then.Add(8 * time.Hour)}
)

// fake is a fleet that answers with the values above, or with err, and keeps
// what it was asked.
type fake struct {
	mu    sync.Mutex // guards asked
	asked []any      // the last call's arguments, without context

	err  error            // of everything but Authenticate
	who  *fleet.Principal // whose token it is; nil: anna's session
	auth error

	claims   map[string]string // requests by key
	kept     []byte
	claimErr error
	dropped  int

	bug     bool  // panic
	endless error // of what goes through a list, after a thousand
	watch   chan fleet.DeviceEvent
}

func (f *fake) note(args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = args
	if f.bug {
		panic("BUG: for the test")
	}
	return f.err
}

func (f *fake) last() []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// or is v, or the zero value with an error, as fleet returns it.
func or[T any](v T, err error) (T, error) {
	if err != nil {
		return *new(T), err
	}
	return v, nil
}

func (f *fake) Activate(_ context.Context, a fleet.Activation) (fleet.Grant, error) {
	return or(aGrant, f.note(a))
}
func (f *fake) RenewPass(_ context.Context, r fleet.Renewal) (fleet.Grant, error) {
	return or(aGrant, f.note(r))
}
func (f *fake) SignIn(_ context.Context, email, password string, remote netip.Addr) (fleet.Session, error) {
	return or(fleet.Session{
		Token: goodToken, Expires: then, User: fleet.User{ID: aUser, Email: "anna@example.com", Name: "Anna", Role: fleet.RoleOwner, Hash: "$argon2id$secret"},
		Account: fleet.Account{ID: anAccount, Name: "Root"},
	}, f.note(email, password, remote))
}

func (f *fake) Authenticate(_ context.Context, token string) (fleet.Principal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if token != goodToken {
		return fleet.Principal{}, fault.New(fault.SignInNeeded, "Sign in.")
	}
	if f.who != nil {
		return or(*f.who, f.auth)
	}
	return or(anna, f.auth)
}

func (f *fake) SignOut(_ context.Context, p fleet.Principal) error { return f.note(p) }
func (f *fake) Devices(_ context.Context, p fleet.Principal, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	return or(fleet.Page[fleet.Device]{Items: []fleet.Device{acme}, Next: "more", Total: 51}, f.note(p, q))
}
func (f *fake) Device(_ context.Context, p fleet.Principal, d id.Device) (fleet.Device, error) {
	return or(acme, f.note(p, d))
}
func (f *fake) RemoveDevice(_ context.Context, p fleet.Principal, d id.Device, match string) error {
	return f.note(p, d, match)
}
func (f *fake) WatchFor(ctx context.Context, p fleet.Principal, what fleet.Watched) <-chan fleet.DeviceEvent {
	_ = f.note(p, what)
	return f.watch
}
func (f *fake) StartVisit(_ context.Context, p fleet.Principal, r fleet.VisitRequest) (fleet.VisitStart, error) {
	return or(fleet.VisitStart{Visit: aStart, URL: "https://pbx-acme.example.com/.trunkline/visit", Handover: "once"}, f.note(p, r))
}
func (f *fake) EndVisit(_ context.Context, p fleet.Principal, v id.Visit) error { return f.note(p, v) }
func (f *fake) Visits(_ context.Context, p fleet.Principal, q fleet.VisitQuery) (fleet.Page[fleet.Visit], error) {
	v := fleet.Visit{Visit: aStart, DeviceName: "Acme", Opened: then, Ended: then.Add(time.Minute), EndCode: fault.VisitEnded, Remote: "192.0.2.9", BytesIn: 1, BytesOut: 2, Requests: 3}
	return or(fleet.Page[fleet.Visit]{Items: []fleet.Visit{v}, Total: 1}, f.note(p, q))
}
func (f *fake) Wish(_ context.Context, p fleet.Principal) (fleet.Wish, error) {
	return or(fleet.Wish{Region: "eu", Second: true}, f.note(p))
}
func (f *fake) EditWish(_ context.Context, p fleet.Principal, e fleet.WishEdit) (fleet.Wish, error) {
	return or(fleet.Wish{Region: "eu"}, f.note(p, e))
}
func (f *fake) Relays(_ context.Context, p fleet.Principal, q fleet.RelayQuery) (fleet.Page[fleet.Relay], error) {
	r := fleet.Relay{
		Name: "relay-1", Region: "eu", Version: "1.0.0", Labels: map[string]string{"rack": "4"}, Addrs: []string{"relay-1.example.com:8443"},
		Load: bus.Load{Tunnels: 812, TunnelsMax: 50_000, CPU: .25}, Started: then, State: fleet.RelaySilent, Since: then.Add(time.Hour), Seen: then.Add(time.Hour),
	}
	return or(fleet.Page[fleet.Relay]{Items: []fleet.Relay{r}, Next: "more", Total: 51}, f.note(p, q))
}
func (f *fake) Subscription(_ context.Context, p fleet.Principal) (fleet.Subscription, error) {
	return or(fleet.Subscription{Status: "Trial", Connections: 25, Used: 1}, f.note(p))
}
func (f *fake) Audit(_ context.Context, p fleet.Principal, q fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error) {
	e := fleet.AuditEntry{Seq: 9, At: then, Account: anAccount, Actor: "anna@example.com", Remote: "192.0.2.9", Action: "sign_in", Outcome: "ok"}
	return or(fleet.Page[fleet.AuditEntry]{Items: []fleet.AuditEntry{e}, Total: 1}, f.note(p, q))
}

// world is the handler, its fake and what it logged and counted.
type world struct {
	http.Handler
	fleet *fake
	logs  *observer.ObservedLogs
	reg   *prometheus.Registry
}

func newWorld(t testing.TB, limits ...api.Limits) *world {
	t.Helper()
	limits = append(limits, api.Limits{})
	core, logs := observer.New(zap.DebugLevel)
	w := &world{fleet: &fake{}, logs: logs, reg: prometheus.NewRegistry()}
	w.Handler = api.New(api.Options{
		Fleet: w.fleet, SiteURL: func(s id.Site) string { return "https://" + string(s) + ".example.com/" },
		Limits: func() api.Limits { return limits[0] }, Log: zap.New(core), Registerer: w.reg,
	})
	return w
}

// do sends one request; headers come in pairs, and an empty value removes one
// of those that are there by themselves.
func (w *world) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return do(w, goodToken, method, target, body, headers...)
}

func do(h http.Handler, token, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = remote.String() + ":4711"
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}
