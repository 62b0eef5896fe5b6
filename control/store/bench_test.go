package store_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
	"trunkline/internal/pgtest"
)

// lists are the pages that have to cost the same however many devices there
// are: of the account's own devices, and of those of the accounts below it.
var lists = []struct {
	name string
	read func(tx fleet.Tx, root id.Account) error
}{
	{"first page", devicePage(fleet.DeviceQuery{})},
	{"next page", nextPage(fleet.DeviceQuery{})},
	{"last page", devicePage(fleet.DeviceQuery{Desc: true})},
	{"by since", devicePage(fleet.DeviceQuery{Sort: fleet.SortSince, Desc: true})},
	{"by serial", devicePage(fleet.DeviceQuery{Sort: fleet.SortSerial})},
	{"status", devicePage(fleet.DeviceQuery{Status: fleet.StatusConnected})},
	{"status by since", devicePage(fleet.DeviceQuery{Status: fleet.StatusDisconnected, Sort: fleet.SortSince})},
	{"group none", devicePage(fleet.DeviceQuery{Group: fleet.GroupNone})},
	{"group empty", devicePage(fleet.DeviceQuery{Group: "grp_nothing", Sort: fleet.SortSince})},
	{"search one", devicePage(fleet.DeviceQuery{Search: "000777"})},
	{"search none", devicePage(fleet.DeviceQuery{Search: "nobody has this"})},
	{"search many", devicePage(fleet.DeviceQuery{Search: "hotel"})},
	{"search all", devicePage(fleet.DeviceQuery{Search: "trial", Sort: fleet.SortSince})},
	{"search many next", nextPage(fleet.DeviceQuery{Search: "hotel"})},
	{"search many by serial", devicePage(fleet.DeviceQuery{Search: "hotel", Sort: fleet.SortSerial})},
	{"search begins", devicePage(fleet.DeviceQuery{Search: "york"})},
	{"search begins and within", devicePage(fleet.DeviceQuery{Search: "warehouse", Desc: true})},
	{"search few", devicePage(fleet.DeviceQuery{Search: "york law"})},
	{"search status", devicePage(fleet.DeviceQuery{Search: "hotel", Status: fleet.StatusConnected})},
	{"search short", devicePage(fleet.DeviceQuery{Search: "ho"})},
	{"below", devicePage(fleet.DeviceQuery{Sub: true})},
	{"below by since", devicePage(fleet.DeviceQuery{Sub: true, Sort: fleet.SortSince, Desc: true})},
	{"below search", devicePage(fleet.DeviceQuery{Sub: true, Search: "000778"})},
	{"below search many", devicePage(fleet.DeviceQuery{Sub: true, Search: "hotel"})},
	{"visits", func(tx fleet.Tx, root id.Account) error {
		_, err := tx.Visits(root, fleet.VisitQuery{Limit: 50})
		return err
	}},
	{"audit", auditPage(fleet.AuditQuery{})},
	{"audit refused", auditPage(fleet.AuditQuery{Outcome: fleet.OutcomeRefused})},
	{"audit search", auditPage(fleet.AuditQuery{Search: "000777"})},
}

func devicePage(q fleet.DeviceQuery) func(fleet.Tx, id.Account) error {
	q.Limit, q.Seen = 50, fleet.GroupFilter{Except: true}
	return func(tx fleet.Tx, root id.Account) error {
		_, err := tx.Devices(root, q)
		return err
	}
}

// nextPage is the one after the first; where that is all, the first.
func nextPage(q fleet.DeviceQuery) func(fleet.Tx, id.Account) error {
	q.Limit, q.Seen = 50, fleet.GroupFilter{Except: true}
	var root id.Account // whose the cursor is
	var next string
	return func(tx fleet.Tx, r id.Account) error {
		if root != r {
			p, err := tx.Devices(r, q)
			if err != nil {
				return err
			}
			root, next = r, p.Next
		}
		q := q
		q.Cursor = next
		_, err := tx.Devices(r, q)
		return err
	}
}

func auditPage(q fleet.AuditQuery) func(fleet.Tx, id.Account) error {
	q.Limit = 50
	return func(tx fleet.Tx, root id.Account) error {
		_, err := tx.Audit(root, true, q)
		return err
	}
}

// BenchmarkLists compares 1,000 devices with 100,000, all in one account or
// spread over ten; `-bench Lists` takes some minutes, most of them to fill the
// databases. A pattern fills only those that it names.
func BenchmarkLists(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) *store.Store{
		"sqlite": func(b *testing.B) *store.Store {
			s, err := store.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "a.db"), zap.NewNop())
			if err != nil {
				b.Fatal(err)
			}
			return s
		},
		"postgres": func(b *testing.B) *store.Store {
			s, err := store.OpenPostgres(b.Context(), pgtest.URL(b), zap.NewNop())
			if err != nil {
				b.Fatal(err)
			}
			return s
		},
	} {
		for _, c := range []struct{ devices, resellers int }{{1_000, 9}, {100_000, 9}, {1_000, 0}, {100_000, 0}} {
			b.Run(fmt.Sprintf("%s/%d_accounts/%d", name, c.resellers+1, c.devices), func(b *testing.B) {
				benchmarkLists(b, open(b), c.devices, c.resellers)
			})
		}
	}
}

func benchmarkLists(b *testing.B, s *store.Store, devices, resellers int) {
	root := seed(b, s, devices, resellers)
	if err := store.Analyze(b.Context(), s); err != nil { // as autovacuum does
		b.Fatal(err)
	}
	for _, l := range lists {
		b.Run(l.name, func(b *testing.B) {
			for b.Loop() {
				if err := s.View(b.Context(), func(tx fleet.Tx) error { return l.read(tx, root) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
