package store_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
	"trunkline/internal/pgtest"
)

// BenchmarkAudit compares the audit log of 100,000 entries with that of 1,000, as
// BenchmarkLists does: two thirds are the account's own, one comes every 10 seconds.
func BenchmarkAudit(b *testing.B) {
	const every, day = 10 * time.Second, 24 * time.Hour
	now := time.Now()
	of := func(q fleet.AuditQuery) func(*testing.B, *benched) {
		return func(b *testing.B, f *benched) {
			q, before := q, now.Add(-every*time.Duration(f.entries))
			if q.Search == "{oldest}" {
				q.Search = f.oldest
			}
			if !q.From.IsZero() { // relative to the oldest entry
				q.From, q.To = before, before.Add(day)
			}
			if err := f.View(b.Context(), func(tx fleet.Tx) error { return auditPage(q)(tx, f) }); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, database := range []string{"sqlite", "postgres"} {
		b.Run(database, func(b *testing.B) {
			few, many := audited(b, database, 1_000, now, every), audited(b, database, 100_000, now, every)
			for _, l := range []struct {
				name string
				q    fleet.AuditQuery
			}{
				{"all", fleet.AuditQuery{}},
				{"oldest day", fleet.AuditQuery{From: now}},
				{"action", fleet.AuditQuery{Action: "activate"}},
				{"action nobody did", fleet.AuditQuery{Action: "restore"}},
				{"action of the oldest day", fleet.AuditQuery{Action: "activate", From: now}},
				{"person", fleet.AuditQuery{Actor: "7@example.com"}},
				{"nobody", fleet.AuditQuery{Actor: "nobody@example.com"}},
				{"refused", fleet.AuditQuery{Outcome: fleet.OutcomeRefused}},
				{"refused of a person", fleet.AuditQuery{Outcome: fleet.OutcomeRefused, Actor: "7@example.com"}},
				{"refused of the oldest day", fleet.AuditQuery{Outcome: fleet.OutcomeRefused, From: now}},
				{"search one", fleet.AuditQuery{Search: "000777"}},
				{"search none", fleet.AuditQuery{Search: "not there"}},
				{"search much", fleet.AuditQuery{Search: "hotel"}},
				{"search a person", fleet.AuditQuery{Search: "7@example.com"}},
				{"search the oldest", fleet.AuditQuery{Search: "{oldest}"}},
				{"search much of an action", fleet.AuditQuery{Search: "hotel", Action: "activate"}},
				{"search the oldest day", fleet.AuditQuery{Search: "hotel", From: now}},
			} {
				compare(b, l.name, few, many, of(l.q))
			}
		})
	}
}

// audited is a database with so many audit entries.
func audited(b *testing.B, database string, entries int, now time.Time, every time.Duration) *benched {
	b.Helper()
	f := &benched{entries: entries, root: "acc_own"}
	f.oldest = oldest(entries)
	if database == "sqlite" {
		f.Store = storetest.SQLite(b, zap.NewNop())
	} else {
		s, err := store.OpenPostgres(b.Context(), pgtest.URL(b), zap.NewNop())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		f.Store = s
	}
	const batch = 1000
	for left := entries; left > 0; left -= batch {
		err := f.Tx(b.Context(), func(tx fleet.Tx) error {
			for i := left; i > left-batch; i-- {
				e := fleet.AuditEntry{
					At: now.Add(-every * time.Duration(i)), Account: f.root, Actor: fmt.Sprintf("%d@example.com", i%20), Action: []string{"sign_in", "activate"}[i/20%2],
					Outcome: "ok", Object: "PBX", Detail: fmt.Sprintf("%s %06d", []string{"Hotel", "Clinic", "School", "Garage", "Bakery"}[i/40%5], i-1),
				}
				if i%3 == 0 {
					e.Account = "acc_other"
				}
				if i%50 == 1 {
					e.Outcome = "rejected"
				}
				if err := tx.AddAudit(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Analyze(b.Context(), f.Store); err != nil {
		b.Fatal(err)
	}
	return f
}

// oldest is what the oldest tenth of so many have in them: " 09" of 100,000, " 0009" of 1,000.
func oldest(entries int) string {
	return fmt.Sprintf(" %06d", entries-1)[:8-len(fmt.Sprint(entries/10))]
}
