package fleet_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
	"trunkline/internal/tunnel"
)

const (
	password = "correct horse battery"
	owner    = "owner@example.com"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)

// world is a Fleet on a real database, with a clock to set and a bus that
// remembers. The root account and its owner are there.
type world struct {
	*testing.T
	*fleet.Fleet
	store *store.Store

	announce  func(bus.DeviceNotice) // of the next Fleet
	wished    func(bus.WishNotice)   // likewise
	published chan struct{}          // keys were; capacity 1

	mu        sync.Mutex
	clock     time.Time
	license   license.License
	auditKeep time.Duration
	busDown   error
	pass      map[string]token.PassKey
	seal      map[string]token.SealKey
	revoked   map[string]bus.Revocation
	handovers map[string]bus.Handover

	revokedFirst int // revocations that came before any key
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, clock: start, license: license.Trial()}
	w.emptyBus()
	w.store = storetest.SQLite(t, zaptest.NewLogger(t))
	w.restart()
	w.tx(func(tx fleet.Tx) error {
		a := fleet.Account{ID: id.NewAccount(), Name: "Provider", Created: start}
		u := fleet.User{ID: id.NewUser(), Account: a.ID, Email: owner, Name: a.Name, Role: fleet.RoleOwner, Hash: fleet.CheapHash(password), Created: start}
		return errors.Join(tx.AddAccount(a), tx.AddUser(u))
	})
	return w
}

// restart makes a new Fleet on the same database.
func (w *world) restart() { w.restartOn(w.store) }

// failing is a store whose database is away.
type failing struct{ err error }

func (f failing) Tx(context.Context, func(fleet.Tx) error) error   { return f.err }
func (f failing) View(context.Context, func(fleet.Tx) error) error { return f.err }

func (w *world) restartOn(s fleet.Store) {
	w.Helper()
	f, err := fleet.New(fleet.Options{
		Store: s, Log: zaptest.NewLogger(w.T), Now: w.now, Registerer: prometheus.NewRegistry(), AuditKeep: func() time.Duration { return w.auditKeep },
		License:    func() license.License { w.mu.Lock(); defer w.mu.Unlock(); return w.license },
		LicenseKey: vendor.Public().(ed25519.PublicKey),
		Zone:       "example.com", Port: ":8443",
		PutHandover: func(_ context.Context, hash string, h bus.Handover) error {
			return w.onBus(func() error {
				if _, ok := w.handovers[hash]; ok {
					return fmt.Errorf("create: %w", bus.ErrExists)
				}
				w.handovers[hash] = h
				return nil
			})
		},
		Revoke: func(_ context.Context, key string, r bus.Revocation) error {
			return w.onBus(func() error {
				if w.revoked[key] = r; len(w.pass) == 0 {
					w.revokedFirst++
				}
				return nil
			})
		},
		PublishKeys: func(_ context.Context, p fleet.Published) error {
			return w.onBus(func() error {
				clear(w.pass)
				clear(w.seal)
				for _, k := range p.Pass {
					w.pass[k.ID] = k
				}
				for _, k := range p.Seal {
					w.seal[k.ID] = k
				}
				select {
				case w.published <- struct{}{}:
				default:
				}
				return nil
			})
		},
		Announce: w.announce,
		Wished:   w.wished,
		Relays: func(_ id.Device, region string) []tunnel.Place {
			if region == "eu" {
				return []tunnel.Place{{Relay: "r2", Addr: "r2.example.com:8443"}, {Relay: "r1", Addr: "r1.example.com:8443"}}
			}
			return []tunnel.Place{{Relay: "r1", Addr: "r1.example.com:8443"}, {Relay: "r2", Addr: "r2.example.com:8443"}}
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Fleet = f
}

func (w *world) onBus(fn func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busDown != nil {
		return w.busDown
	}
	return fn()
}

func (w *world) emptyBus() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published = make(chan struct{}, 1)
	w.pass, w.seal = map[string]token.PassKey{}, map[string]token.SealKey{}
	w.revoked, w.handovers, w.revokedFirst = map[string]bus.Revocation{}, map[string]bus.Handover{}, 0
}

func (w *world) revocations() map[string]bus.Revocation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.revoked)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// addUser puts somebody in the root account, or in a second one.
func (w *world) addUser(email string, role fleet.Role, elsewhere bool) {
	w.Helper()
	w.tx(func(tx fleet.Tx) error {
		a, err := tx.Root()
		if err != nil {
			return err
		}
		if elsewhere {
			a = fleet.Account{ID: id.NewAccount(), Parent: a.ID, Name: "Reseller", Created: start}
			if err := tx.AddAccount(a); err != nil {
				return err
			}
		}
		return tx.AddUser(fleet.User{ID: id.NewUser(), Account: a.ID, Email: email, Name: "N", Role: role, Hash: fleet.CheapHash(password), Created: start})
	})
}

func (w *world) tx(fn func(fleet.Tx) error) {
	w.Helper()
	if err := w.store.Tx(w.Context(), fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) signIn(email string) fleet.Principal {
	w.Helper()
	s, err := w.SignIn(w.Context(), email, password, addr(1))
	if err != nil {
		w.Fatalf("sign in %s: %v", email, err)
	}
	p, err := w.Authenticate(w.Context(), s.Token)
	if err != nil {
		w.Fatalf("authenticate %s: %v", email, err)
	}
	return p
}

// pbx is an agent's side of things.
type pbx struct {
	serial id.Serial
	key    ed25519.PrivateKey
}

func newPBX(sn id.Serial) pbx {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return pbx{serial: sn, key: priv}
}

func (p pbx) request() fleet.Activation {
	return fleet.Activation{
		Serial: p.serial, Model: "P-Series Appliance Edition", Firmware: "37.19.0.110", Key: p.key.Public().(ed25519.PublicKey),
		Proof: controlapi.ActivationProof(p.key, p.serial), Email: owner, Password: password, Remote: addr(9),
	}
}

func (p pbx) renewal(d id.Device) fleet.Renewal {
	nonce := []byte("0123456789abcdef")
	return fleet.Renewal{Device: d, Nonce: nonce, Proof: controlapi.RenewalProof(p.key, d, nonce), Remote: addr(9)}
}

func (w *world) activate(a fleet.Activation) fleet.Grant {
	w.Helper()
	g, err := w.Activate(w.Context(), a)
	if err != nil {
		w.Fatalf("activate %s: %v", a.Serial, err)
	}
	return g
}

// admits is what a relay would say to the pass now.
func (w *world) admits(g fleet.Grant) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := token.VerifyPass(g.Pass, func(kid string) (token.PassKey, bool) { k, ok := w.pass[kid]; return k, ok }, w.clock)
	if err != nil {
		w.Logf("pass: %v", err)
		return false
	}
	r, revoked := w.revoked["device."+string(p.Device)]
	return !revoked || p.Issued.After(r.At)
}

func addr(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

// audit is the log as text, oldest first: "action outcome actor".
func (w *world) audit() []string {
	w.Helper()
	p := w.auditPage()
	var out []string
	for i := range p.Items {
		e := p.Items[len(p.Items)-1-i]
		out = append(out, strings.TrimSpace(e.Action+" "+e.Outcome+" "+e.Actor))
	}
	return out
}

func (w *world) auditPage() (p fleet.Page[fleet.AuditEntry]) {
	w.tx(func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		p, err = tx.Audit(root.ID, true, fleet.AuditQuery{Limit: 200})
		return err
	})
	return p
}

// connect has relay r1 report the device's tunnel up.
func (w *world) connect(d id.Device, rev uint64) {
	w.ApplyRoute(fleet.RouteEvent{Route: w.route(d, "r1", ""), Epoch: "e1", Rev: rev})
}

func (w *world) route(d id.Device, r id.Relay, down fault.Code) bus.Route {
	return bus.Route{Relay: r, Device: d, Since: w.now(), Down: down, Agent: "1.0", Remote: "192.0.2.9:1000"}
}
