package fleet_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/license"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// vendor signs licences.
var vendor = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))

func licenceFile(t *testing.T, key ed25519.PrivateKey, l license.License) []byte {
	t.Helper()
	b, err := license.Issue(key, l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func year(connections int) license.License {
	return license.License{Holder: "ACME", Plan: "standard", Connections: connections, NotBefore: start.Add(-time.Hour), Expires: start.AddDate(1, 0, 0)}
}

func (w *world) install(l license.License) (fleet.Subscription, error) {
	w.Helper()
	return w.InstallLicense(w.Context(), w.signIn(owner), licenceFile(w.T, vendor, l))
}

// reseller makes an account with its own share, and its owner.
func (w *world) reseller(email string, connections int) fleet.Account {
	w.Helper()
	var a fleet.Account
	w.tx(func(tx fleet.Tx) error {
		root, err := tx.Root()
		if err != nil {
			return err
		}
		a = fleet.Account{ID: id.NewAccount(), Parent: root.ID, Name: "Reseller", Allotted: connections, Created: start}
		if err := tx.AddAccount(a); err != nil {
			return err
		}
		return tx.AddUser(fleet.User{ID: id.NewUser(), Account: a.ID, Email: email, Name: "R", Role: fleet.RoleOwner, Hash: fleet.CheapHash(password), Created: start})
	})
	return a
}

func (w *world) activateAs(email string, n int) error {
	q := newPBX(id.Serial(fmt.Sprintf("SN%c%05d", email[0]-'a'+'A', n))).request()
	q.Email = email
	_, err := w.Activate(w.Context(), q)
	return err
}

func TestInstalledLicenceCounts(t *testing.T) {
	w := newWorld(t)
	s, err := w.install(year(500))
	if err != nil || s.Status != "Subscribed" || s.Connections != 500 || s.Holder != "ACME" || !s.Root || s.Warning != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	// Also after a restart, and from now on whatever the configuration has of
	// an older date.
	w.restart()
	w.license = license.License{Plan: "old", Connections: 9, NotBefore: start.AddDate(-1, 0, 0)}
	if s, err := w.Subscription(w.Context(), w.signIn(owner)); err != nil || s.Connections != 500 {
		t.Errorf("%+v, %v", s, err)
	}
	// The licence of next year lies there until its time has come.
	next := year(900)
	next.NotBefore, next.Expires = next.Expires, next.Expires.AddDate(1, 0, 0)
	if s, err := w.install(next); err != nil || s.Connections != 500 {
		t.Errorf("%+v, %v", s, err)
	}
	w.wait(366 * 24 * time.Hour)
	if s, err := w.Subscription(w.Context(), w.signIn(owner)); err != nil || s.Connections != 900 || s.Grace {
		t.Errorf("a year later: %+v, %v", s, err)
	}
}

func TestRefusedLicences(t *testing.T) {
	w := newWorld(t)
	w.addUser("admin@example.com", fleet.RoleAdmin, false)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	w.reseller("reseller@example.com", 5)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, ed25519.SeedSize))
	over := year(5)
	over.NotBefore, over.Expires = start.AddDate(-1, 0, 0), start.Add(-license.Grace)
	for _, c := range []struct {
		who  string
		file []byte
		want fault.Code
	}{
		{owner, nil, fault.LicenceInvalid},
		{owner, []byte("<script>\n;DROP TABLE licences"), fault.LicenceInvalid},
		{owner, licenceFile(t, other, year(5)), fault.LicenceInvalid},
		{owner, bytes.Replace(licenceFile(t, vendor, year(5)), []byte(`:5,`), []byte(`:9,`), 1), fault.LicenceInvalid},
		{owner, licenceFile(t, vendor, over), fault.LicenceInvalid},
		{"tech@example.com", licenceFile(t, vendor, year(5)), fault.Forbidden},
		{"reseller@example.com", licenceFile(t, vendor, year(5)), fault.Forbidden},
	} {
		_, err := w.InstallLicense(w.Context(), w.signIn(c.who), c.file)
		wantCode(t, err, c.want)
	}
	if s, err := w.Subscription(w.Context(), w.signIn(owner)); err != nil || s.Status != "Trial" || s.Connections != license.TrialConnections {
		t.Errorf("something was installed: %+v, %v", s, err)
	}
	if _, err := w.InstallLicense(w.Context(), w.signIn("admin@example.com"), licenceFile(t, vendor, year(5))); err != nil {
		t.Error(err)
	}
}

// What is said before and after a licence ends, and what goes on.
func TestLicenceRunsOut(t *testing.T) {
	w := newWorld(t)
	if _, err := w.install(year(5)); err != nil {
		t.Fatal(err)
	}
	end := start.AddDate(1, 0, 0)
	at := func(d time.Duration, warned, grace, allowed bool) {
		t.Helper()
		w.mu.Lock()
		w.clock = end.Add(d)
		w.mu.Unlock()
		s, err := w.Subscription(w.Context(), w.signIn(owner))
		if err != nil || (s.Warning != "") != warned || s.Grace != grace || s.Next == "" {
			t.Errorf("%s after the end: %+v, %v", d, s, err)
		}
		want := fault.LicenceExpired
		if allowed {
			want = ""
		}
		wantCode(t, w.activateAs(owner, int(d/time.Hour)+5000), want) // another PBX each time
	}
	const day = 24 * time.Hour
	at(-31*day, false, false, true)
	at(-30*day, true, false, true)
	at(-time.Hour, true, false, true)
	at(0, true, true, true)
	at(license.Grace-time.Second, true, true, true)
	at(license.Grace, true, false, false)
	if s, _ := w.Subscription(w.Context(), w.signIn(owner)); s.Status != "Not Subscribed" || s.Used != 5 {
		t.Errorf("at the end: %+v", s)
	}
}

// A reseller's share is the reseller's: nobody else can use it, and the
// reseller no more than it.
func TestSharesOfConnections(t *testing.T) {
	w := newWorld(t)
	w.license = license.License{Plan: "standard", Connections: 10}
	a := w.reseller("a@example.com", 4)
	for i := range 6 {
		wantCode(t, w.activateAs(owner, i), "")
	}
	wantCode(t, w.activateAs(owner, 6), fault.NoConnections)
	for i := range 4 {
		wantCode(t, w.activateAs("a@example.com", i), "")
	}
	wantCode(t, w.activateAs("a@example.com", 4), fault.NoConnections)
	s, err := w.Subscription(w.Context(), w.signIn(owner))
	if err != nil || s.Connections != 10 || s.Used != 6 || s.Allotted != 4 || s.ResellersUsed != 4 {
		t.Errorf("provider: %+v, %v", s, err)
	}
	s, err = w.Subscription(w.Context(), w.signIn("a@example.com"))
	if err != nil || s.Connections != 4 || s.Used != 4 || s.Root || s.Holder != a.Name {
		t.Errorf("reseller: %+v, %v", s, err)
	}
	// A smaller licence takes nothing away, and gives nothing to anybody.
	w.license.Connections = 7
	w.tx(func(tx fleet.Tx) error {
		return tx.AddAccount(fleet.Account{ID: id.NewAccount(), Parent: a.Parent, Name: "B", Allotted: 3})
	})
	wantCode(t, w.activateAs("a@example.com", 5), fault.NoConnections)
	if s, _ := w.Subscription(w.Context(), w.signIn(owner)); s.Warning == "" || s.Used != 6 {
		t.Errorf("after the licence shrank: %+v", s)
	}
}

// However many come at once, from wherever in the tree, no connection is
// given twice.
func TestCapacityHoldsAgainstACrowd(t *testing.T) {
	w := newWorld(t)
	w.license = license.License{Plan: "standard", Connections: 20}
	w.reseller("a@example.com", 8)
	var done [2]atomic.Int32
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			who := []string{owner, "a@example.com"}[i%2]
			switch err := w.activateAs(who, i); fault.CodeOf(err) {
			case "":
				done[i%2].Add(1)
			case fault.NoConnections:
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if done[0].Load() != 12 || done[1].Load() != 8 {
		t.Errorf("%d and %d were activated, want 12 and 8", done[0].Load(), done[1].Load())
	}
}
