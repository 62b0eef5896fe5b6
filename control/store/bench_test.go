package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

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
	{"search within the last", devicePage(fleet.DeviceQuery{Search: "wolle"})},
	{"search within the first", devicePage(fleet.DeviceQuery{Search: "alen", Desc: true})},
	{"search within many of the last", devicePage(fleet.DeviceQuery{Search: "wol"})},
	{"search the last serials", devicePage(fleet.DeviceQuery{Search: "trialz", Sort: fleet.SortSerial})},
	{"search the last changes", devicePage(fleet.DeviceQuery{Search: " 000", Sort: fleet.SortSince})},
	{"search short", devicePage(fleet.DeviceQuery{Search: "ho"})},
	{"search short none", devicePage(fleet.DeviceQuery{Search: "~~"})},
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
	cursors := make(map[id.Account]string)
	return func(tx fleet.Tx, root id.Account) error {
		if _, known := cursors[root]; !known {
			p, err := tx.Devices(root, q)
			if err != nil {
				return err
			}
			cursors[root] = p.Next
		}
		q := q
		q.Cursor = cursors[root]
		_, err := tx.Devices(root, q)
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

// BenchmarkLists compares each list of 100,000 devices with that of 1,000, all in
// one account or spread over ten: the medians in milliseconds, and how many times the
// smaller one's the larger one's is. The two take turns, so that whatever else
// the machine does slows both. A pattern fills only the databases that it names.
func BenchmarkLists(b *testing.B) {
	for _, d := range []struct {
		name string
		open func(b *testing.B) (*store.Store, error)
	}{
		{"sqlite", func(b *testing.B) (*store.Store, error) {
			return store.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "a.db"), zap.NewNop())
		}},
		{"postgres", func(b *testing.B) (*store.Store, error) {
			return store.OpenPostgres(b.Context(), pgtest.URL(b), zap.NewNop())
		}},
	} {
		for _, resellers := range []int{0, 9} {
			b.Run(fmt.Sprintf("%s/%d_accounts", d.name, resellers+1), func(b *testing.B) {
				few, many := filled(b, d.open, 1_000, resellers), filled(b, d.open, 100_000, resellers)
				for _, l := range lists {
					b.Run(l.name, func(b *testing.B) { compare(b, few, many, l.read) })
				}
			})
		}
	}
}

// fleetOf is a database and the account whose devices are listed.
type fleetOf struct {
	*store.Store
	root id.Account
}

func filled(b *testing.B, open func(b *testing.B) (*store.Store, error), devices, resellers int) fleetOf {
	b.Helper()
	s, err := open(b)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	root := seed(b, s, devices, resellers)
	if err := errors.Join(s.IndexNames(b.Context()), store.Analyze(b.Context(), s)); err != nil { // as control and autovacuum do
		b.Fatal(err)
	}
	return fleetOf{s, root}
}

func compare(b *testing.B, few, many fleetOf, read func(fleet.Tx, id.Account) error) {
	took := func(f fleetOf) float64 {
		var began time.Time
		for range 3 { // the first ones bring back what the other's reads drove out of the processor's caches
			began = time.Now()
			if err := f.View(b.Context(), func(tx fleet.Tx) error { return read(tx, f.root) }); err != nil {
				b.Fatal(err)
			}
		}
		return float64(time.Since(began)) / float64(time.Millisecond)
	}
	var small, large []float64
	for b.Loop() {
		small, large = append(small, took(few)), append(large, took(many))
	}
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
	b.ReportMetric(median(small), "ms/1000")
	b.ReportMetric(median(large), "ms/100000")
	b.ReportMetric(median(large)/median(small), "times")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
