package store_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
	"trunkline/internal/token"
)

// databases are what the contract is run on. Each opens an empty one.
var databases = map[string]func(t *testing.T) fleet.Store{
	"sqlite":   func(t *testing.T) fleet.Store { return storetest.SQLite(t, zap.NewNop()) },
	"postgres": func(t *testing.T) fleet.Store { return openPostgres(t, storetest.Postgres(t)) },
}

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func openPostgres(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), url, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func openSQLite(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// onEach runs fn on a world with one account, one user and one device.
func onEach(t *testing.T, fn func(w *world)) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			w := &world{T: t, Store: open(t)}
			w.account = fleet.Account{ID: id.NewAccount(), Name: "Provider", Created: at(0)}
			w.user = fleet.User{ID: id.NewUser(), Account: w.account.ID, Email: "a@example.com", Name: "A", Role: fleet.RoleOwner, Hash: "h", Created: at(0)}
			w.do(func(tx fleet.Tx) error { return errors.Join(tx.AddAccount(w.account), tx.AddUser(w.user)) })
			w.device = w.addDevice("SN-0001", "Alpha")
			fn(w)
		})
	}
}

type world struct {
	*testing.T
	fleet.Store
	account fleet.Account
	user    fleet.User
	device  fleet.Device
}

// at is a moment that every database can hold exactly.
func at(seconds int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, seconds, 123456000, time.UTC)
}

func (w *world) do(fn func(fleet.Tx) error) {
	w.Helper()
	if err := w.Tx(w.Context(), fn); err != nil {
		w.Fatalf("tx: %v", err)
	}
}

func (w *world) see(fn func(fleet.Tx) error) {
	w.Helper()
	if err := w.View(w.Context(), fn); err != nil {
		w.Fatalf("view: %v", err)
	}
}

func (w *world) addDevice(sn id.Serial, name string) fleet.Device {
	w.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.Fatal(err)
	}
	d := fleet.Device{
		ID: id.NewDevice(), Account: w.account.ID, Site: id.NewSite(), Serial: sn, Name: name, Model: "P-Series", Firmware: "1.2",
		Key: pub, Activated: at(1), Issued: at(1).Truncate(time.Second), Presence: fleet.Presence{Status: fleet.StatusNever},
		HotStandby: fleet.HotStandby{Enabled: true, Type: "primary", Role: "active", Peer: "SN-9999"},
	}
	w.do(func(tx fleet.Tx) error {
		return errors.Join(tx.AddSite(fleet.Site{ID: d.Site, Account: d.Account, Created: at(1), Licensed: true}), tx.AddDevice(d))
	})
	return d
}

func (w *world) addVisit(started time.Time, handover string) fleet.Visit {
	w.Helper()
	v := fleet.Visit{DeviceName: w.device.Name, Visit: token.Visit{
		ID: id.NewVisit(), Site: w.device.Site, Device: w.device.ID, Account: w.account.ID, User: w.user.ID, Who: "A <a@example.com>",
		Method: token.MethodAccount, Idle: 15 * time.Minute, Started: started, Expires: started.Add(token.VisitLife), Seen: started,
	}}
	w.do(func(tx fleet.Tx) error { return tx.AddVisit(v, handover) })
	return v
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}
