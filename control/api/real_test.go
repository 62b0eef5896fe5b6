package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const password = "correct horse battery"

// realWorld is the API over the real fleet on a real database.
type realWorld struct {
	http.Handler
	url   string
	fleet *fleet.Fleet
	store *store.Store
}

// realControl gives a client, and the codes that the document has for each
// operation.
func realControl(t *testing.T) (*controlapi.Client, map[string][]fault.Code) {
	t.Helper()
	w := newRealWorld(t)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	return w.client(t), documented(t, rec.Body.Bytes())
}

func (w *realWorld) client(t *testing.T) *controlapi.Client {
	t.Helper()
	c, err := controlapi.NewClient(w.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRealWorld(t *testing.T) *realWorld {
	t.Helper()
	log, reg := zaptest.NewLogger(t), prometheus.NewRegistry()
	st := storetest.SQLite(t, log)
	f, err := fleet.New(fleet.Options{
		Store: st, Log: log, Registerer: reg, License: license.Trial, Zone: "example.com",
		PutHandover: func(context.Context, string, bus.Handover) error { return nil },
		Revoke:      func(context.Context, string, bus.Revocation) error { return nil },
		PublishKeys: func(context.Context, fleet.Published) error { return nil },
		Relays: func(id.Device, string) []tunnel.Place {
			return []tunnel.Place{{Relay: "relay-1", Addr: "relay-1.example.com:8443"}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Init(t.Context(), "anna@example.com", "Anna", password); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h := api.New(api.Options{Fleet: f, SiteURL: func(s id.Site) string { return "https://" + string(s) + ".example.com/" }, Limits: func() api.Limits { return api.Limits{} }, Log: log, Registerer: reg})
	h = known(t, h)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &realWorld{h, srv.URL, f, st}
}

// known holds every refusal of h against the document: whatever fleet says, a
// client can have read there that it may.
func known(t *testing.T, h http.Handler) http.Handler {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	codes, names := documented(t, rec.Body.Bytes()), map[string]string{}
	for _, s := range specsOf(t, rec.Body.Bytes()) {
		names[s.method+" "+s.path] = s.name
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &refusals{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		var p fault.Problem
		if seen.Header().Get("Content-Type") != "application/problem+json" || json.Unmarshal(seen.body.Bytes(), &p) != nil {
			return
		}
		if name := names[r.Pattern]; name != "" && !slices.Contains(codes[name], p.Code) {
			t.Errorf("%s refuses with %s, which the document does not say", name, p.Code)
		}
	})
}

// refusals keeps a copy of a problem document.
type refusals struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (s *refusals) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *refusals) Write(b []byte) (int, error) {
	if s.Header().Get("Content-Type") == "application/problem+json" {
		s.body.Write(b)
	}
	return s.ResponseWriter.Write(b)
}

// documented are the codes of each operation.
func documented(t *testing.T, doc []byte) map[string][]fault.Code {
	t.Helper()
	var d struct {
		Paths map[string]map[string]struct {
			ID        string `json:"operationId"`
			Responses map[string]struct {
				Codes []fault.Code `json:"x-codes"`
			}
		}
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatal(err)
	}
	out := map[string][]fault.Code{}
	for _, methods := range d.Paths {
		for _, op := range methods {
			for status, r := range op.Responses {
				for _, c := range r.Codes {
					if strconv.Itoa(fault.Status(c)) != status {
						t.Errorf("%s: %s under %s", op.ID, c, status)
					}
				}
				out[op.ID] = append(out[op.ID], r.Codes...)
			}
		}
	}
	return out
}

// One PBX from activation to removal, with the refusals on the way: each has
// the code it must have, and the document knows it.
func TestAPBXsLifeOnTheRealFleet(t *testing.T) {
	c, codes := realControl(t)
	ctx := t.Context()
	refused := func(operation string, want fault.Code, err error) {
		t.Helper()
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != want || f.Message == "" {
			t.Errorf("%s: %v, not %s", operation, err, want)
		} else if !slices.Contains(codes[operation], want) {
			t.Errorf("%s: %s is not in the document", operation, want)
		}
	}
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	q := controlapi.ActivationRequest{
		Serial: "SN-0001", Model: "P-Series Appliance Edition", Firmware: "37.20.0.1", PublicKey: pub,
		Proof: controlapi.ActivationProof(priv, "SN-0001"), Email: "anna@example.com", Password: password,
	}
	with := func(change func(*controlapi.ActivationRequest)) error {
		bad := q
		change(&bad)
		_, err := c.Activate(ctx, bad)
		return err
	}
	refused("activate", fault.Rejected, with(func(q *controlapi.ActivationRequest) { q.Password = "guess" }))
	refused("activate", fault.Rejected, with(func(q *controlapi.ActivationRequest) { q.Email = "nobody@example.com" }))
	refused("activate", fault.ProofInvalid, with(func(q *controlapi.ActivationRequest) { q.Serial = "SN-0002" }))
	refused("activate", fault.ModelRefused, with(func(q *controlapi.ActivationRequest) { q.Model = "Fax" }))
	refused("activate", fault.FirmwareOld, with(func(q *controlapi.ActivationRequest) { q.Firmware = "37.1.0.0" }))

	g, err := c.Activate(ctx, q)
	if err != nil || len(g.Relays) != 1 || g.LifetimeSeconds != 24*3600 || g.Account != "Main account" {
		t.Fatal(g, err)
	}
	if again, err := c.Activate(ctx, q); err != nil || again.Device != g.Device || again.Site != g.Site {
		t.Fatal("the same request gave another device", again, err)
	}
	nonce := make([]byte, 16)
	if r, err := c.RenewPass(ctx, controlapi.RenewalRequest{Device: g.Device, Nonce: nonce, Proof: controlapi.RenewalProof(priv, g.Device, nonce)}); err != nil || r.Pass == "" {
		t.Fatal(r, err)
	}
	_, err = c.RenewPass(ctx, controlapi.RenewalRequest{Device: g.Device, Nonce: nonce, Proof: make([]byte, 64)})
	refused("renewPass", fault.ProofInvalid, err)

	_, err = c.SignIn(ctx, "anna@example.com", "guess")
	refused("signIn", fault.WrongLogin, err)
	_, err = c.Devices(ctx, controlapi.DeviceQuery{})
	refused("listDevices", fault.SignInNeeded, err)
	s, err := c.SignIn(ctx, "anna@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken(s.Token)
	page, err := c.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: "sn-0001"}})
	if err != nil || page.Total != 1 || page.Items[0].Status != controlapi.StatusNever || page.Items[0].URL != "https://"+string(g.Site)+".example.com/" {
		t.Fatal(page, err)
	}
	_, err = c.Devices(ctx, controlapi.DeviceQuery{PageQuery: controlapi.PageQuery{Cursor: "forged"}})
	refused("listDevices", fault.Invalid, err)
	_, err = c.StartVisit(ctx, controlapi.VisitRequest{Device: g.Device})
	refused("startVisit", fault.NotConnected, err)
	refused("endVisit", fault.NotFound, c.EndVisit(ctx, aVisit))
	if sub, err := c.Subscription(ctx); err != nil || sub.Status != "Trial" || sub.Connections != 25 || sub.Used != 1 {
		t.Fatal(sub, err)
	}
	if audit, err := c.Audit(ctx, controlapi.AuditQuery{AuditFilter: controlapi.AuditFilter{Action: "activate"}}); err != nil || audit.Total != 7 {
		t.Fatal(audit, err)
	}
	var gone id.Device
	err = c.Watch(ctx, func() {
		if err := c.RemoveDevice(ctx, g.Device); err != nil {
			t.Error(err)
		}
	}, func(e controlapi.DeviceEvent) error {
		if e.Removed {
			gone = e.ID
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || gone != g.Device {
		t.Fatal(gone, err)
	}
	_, err = c.Device(ctx, g.Device)
	refused("getDevice", fault.NotFound, err)
	_, err = c.RenewPass(ctx, controlapi.RenewalRequest{Device: g.Device, Nonce: nonce, Proof: controlapi.RenewalProof(priv, g.Device, nonce)})
	refused("renewPass", fault.DeviceRemoved, err)
	if err := c.SignOut(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = c.Subscription(ctx)
	refused("getSubscription", fault.SignInNeeded, err)
}

var errEnough = errors.New("enough")
