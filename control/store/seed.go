package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const seedBatch = 500 // devices in a transaction

// Seed adds devices for trials, in the root account and, spread evenly, in
// resellers that it makes, each device with a visit and an audit entry. The
// devices have no key: none of them can connect. done is told how many there
// are so far.
func (s *Store) Seed(ctx context.Context, devices, resellers int, now time.Time, done func(int)) error {
	var owners []id.Account
	err := s.Tx(ctx, func(t fleet.Tx) error {
		root, err := t.Root()
		if err != nil {
			return fmt.Errorf("the provider's account: %w", err)
		}
		owners = []id.Account{root.ID}
		for i := range resellers {
			a := fleet.Account{ID: id.NewAccount(), Parent: root.ID, Name: fmt.Sprintf("Trial reseller %05d", i), Allotted: devices, Created: now}
			u := fleet.User{ID: id.NewUser(), Account: a.ID, Email: string(a.ID) + "@example.invalid", Name: "Trial", Role: fleet.RoleOwner, Created: now}
			if err := t.AddAccount(a); err != nil {
				return err
			}
			if err := t.AddUser(u); err != nil {
				return err
			}
			owners = append(owners, a.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for left := devices; left > 0; { // the oldest first, as they would have come
		batch := make([]seedling, 0, seedBatch)
		for ; left > 0 && len(batch) < seedBatch; left-- {
			batch = append(batch, newSeedling(left-1, owners[(left-1)%len(owners)], now))
		}
		if err := s.Tx(ctx, func(t fleet.Tx) error { return t.(*tx).plant(batch) }); err != nil {
			return err
		}
		done(devices - left)
	}
	return s.mergeIndex(ctx)
}

// mergePages are what a step of mergeIndex writes: control, which may run, has
// its turn after each.
const mergePages = 500

// mergeIndex makes one part of each of SQLite's indexes of searches, as its documentation
// has it (sqlite.org/fts5.html, section 6.8): of so many that come at once, and
// make room for others, much is in it twice.
func (s *Store) mergeIndex(ctx context.Context) error {
	if s.postgres {
		return nil
	}
	for _, k := range keyeds {
		if err := s.merge(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) merge(ctx context.Context, k keyed) error {
	for pages := -mergePages; ; pages = mergePages {
		before, after := 0, 0
		err := s.Tx(ctx, func(ft fleet.Tx) (err error) {
			t := ft.(*tx)
			if before, err = t.count("SELECT total_changes()"); err != nil {
				return err
			}
			if err := t.insert(k.on("INSERT INTO {index} ({index}, rank) VALUES ('merge', $1)"), pages); err != nil {
				return err
			}
			after, err = t.count("SELECT total_changes()")
			return err
		})
		if err != nil || after-before < 2 {
			return err
		}
	}
}

type seedling struct {
	device fleet.Device
	at     time.Time
}

var (
	seedTowns  = []string{"Aalen", "Bergen", "Cork", "Delft", "Évora", "Faro", "Gdynia", "Hilden", "Izmir", "Jena", "Kiel", "Lugano", "Malmö", "Nantes", "Oulu", "Porto", "Quedlinburg", "Riga", "Split", "Turku", "Udine", "Vigo", "Westerwolde", "Xanten", "York", "Zwolle"}
	seedPlaces = []string{"Hotel", "Clinic", "School", "Warehouse", "Bakery", "Law Office", "Town Hall", "Garage", "Library", "Dental Practice"}
	seedModels = []string{"P-Series Appliance", "P-Series Software"}
	seedStates = []fleet.Status{fleet.StatusConnected, fleet.StatusConnected, fleet.StatusConnected, fleet.StatusDisconnected, fleet.StatusNever}
)

func newSeedling(i int, owner id.Account, now time.Time) seedling {
	at := now.Add(-time.Duration(i) * time.Second)
	return seedling{at: at, device: fleet.Device{
		ID: id.NewDevice(), Account: owner, Site: id.Site(fmt.Sprintf("%s-%d", id.NewSite(), i)), Serial: id.Serial(fmt.Sprintf("TRIAL%s%06d", strings.ToUpper(id.Ref()), i)),
		Name:  fmt.Sprintf("%s %s %s %06d", seedTowns[rand.IntN(len(seedTowns))], seedPlaces[rand.IntN(len(seedPlaces))], id.Ref(), i),
		Model: seedModels[i%len(seedModels)], Firmware: "37.19.0.110", Created: at, Activated: at,
		Presence: fleet.Presence{Status: seedStates[i%len(seedStates)], Since: at},
	}}
}

func (t *tx) plant(batch []seedling) error {
	var sites, devices, visits, audits [][]any
	licensed := make(map[id.Account]int)
	for _, s := range batch {
		d, at, when := s.device, micros(s.at), micros(s.at)
		licensed[d.Account]++
		sites = append(sites, []any{d.Site, d.Account, at})
		devices = append(devices, []any{d.ID, d.Account, d.Site, d.Serial, d.Name, sortName(d), searchText(d), "", "", 0, d.Model, d.Firmware, at, at, 0, 0,
			0, "", "", "", 0, 0, 0, 0, d.Presence.Status, "", when, "", "", "", 0, 0, 0})
		visits = append(visits, []any{id.NewVisit(), d.Account, d.Site, d.ID, d.Name, "usr_trial", "Trial <trial@example.invalid>", "account", 0, at, at + 1, "", at, at + 1, "logout", ""})
		audits = append(audits, []any{at, d.Account, "Trial", "", "device.activate", d.ID, "ok", d.Name, strings.ToLower("trial " + d.Name)})
	}
	for a, n := range licensed {
		if err := t.change("UPDATE accounts SET used = used + $2 WHERE id = $1", a, n); err != nil {
			return err
		}
	}
	if err := t.insertMany("sites (id, account, created)", sites); err != nil {
		return err
	}
	if err := t.plantDevices(batch, devices); err != nil {
		return err
	}
	if err := t.insertMany("visits (id, account, site, device, device_name, user_id, who, method, idle, started, expires, handover, opened, ended, end_code, remote)", visits); err != nil {
		return err
	}
	return t.insertMany("audit (at, account, actor, remote, action, object, outcome, detail, search)", audits)
}

func (t *tx) plantDevices(batch []seedling, rows [][]any) error {
	const into = `devices (id, account, site, serial, name, sort_name, search, grp, comment, passwordless, model, firmware, created, activated, code_expires, code_used,
		hs_enabled, hs_type, hs_role, hs_peer, hs_claim, joined, issued, void, status, reason, since, relay, remote, agent, l_account, l_passwordless, l_auto_logout)`
	if t.postgres {
		return t.insertMany(into, rows)
	}
	if err := t.insertMany(into, rows); err != nil {
		return err
	}
	for _, k := range keyeds { // in its order an index is written fastest
		slices.SortFunc(batch, func(a, b seedling) int { return strings.Compare(k.of(a.device), k.of(b.device)) })
		for _, s := range batch {
			if err := t.index(s.device, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// seedRows go into one statement: fewer cost ways to the database, and with
// more SQLite looks its placeholders up for longer than it writes.
const seedRows = 20

func (t *tx) insertMany(into string, rows [][]any) error {
	for chunk := range slices.Chunk(rows, seedRows) {
		if err := t.insertSome(into, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertSome(into string, rows [][]any) error {
	var q strings.Builder
	var args []any
	q.WriteString("INSERT INTO " + into + " VALUES ")
	for i, row := range rows {
		if i > 0 {
			q.WriteString(", ")
		}
		for j, v := range row {
			args = append(args, v)
			fmt.Fprintf(&q, "%s$%d", map[bool]string{true: "(", false: ", "}[j == 0], len(args))
		}
		q.WriteByte(')')
	}
	return t.insert(q.String(), args...)
}
