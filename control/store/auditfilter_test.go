package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// A list of audit entries is a filter, the newest first, whichever way it is come
// by: of entries of two accounts and of nobody, over some hours and with gaps in
// their numbers, whose clocks differ.
func TestAuditIsAFilter(t *testing.T) {
	onEach(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		const minute = 60
		whose := []id.Account{w.account.ID, w.account.ID, "", "acc_other"}
		var there []fleet.AuditEntry
		w.do(func(tx fleet.Tx) error {
			for i := range 400 {
				e := fleet.AuditEntry{
					At: at(minute * (i + r.IntN(9))), Account: pick(r, whose...), Actor: pick(r, "a@example.com", "b@example.com"), Action: pick(r, "sign_in", "rename"),
					Object: fmt.Sprint("dev_", i), Outcome: pick(r, "ok", "ok", "ok", "rejected", "forbidden"), Detail: someName(r),
				}
				if i < 100 {
					e.Detail += " early"
				}
				there = append(there, e)
				if err := tx.AddAudit(e); err != nil {
					return err
				}
				if i%40 == 0 {
					if err := store.SkipAudit(tx, 700); err != nil {
						return err
					}
				}
			}
			return nil
		})
		for i := range 60 {
			q := fleet.AuditQuery{
				Search: pick(r, "", "early", "a", "Ab", "dev_1", "example", "nobody", someName(r)), Action: pick(r, "", "", "sign_in"), Actor: pick(r, "", "", "a@example.com", "c@example.com"),
				Outcome: pick(r, "", "", "ok", "rejected", fleet.OutcomeRefused), From: pick(r, time.Time{}, at(minute*r.IntN(450))), Limit: 60,
			}
			if r.IntN(2) == 0 {
				q.To = q.From.Add(time.Duration(1+r.IntN(200)) * time.Minute)
			}
			if q.From.IsZero() && r.IntN(2) == 0 {
				q.To = at(minute * r.IntN(450))
			}
			if i%6 == 0 {
				q.Search, q.Action, q.Actor, q.Outcome = "", "", "", ""
			}
			w.audits(there, r.IntN(2) == 0, q)
		}
	})
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// audits reads all pages of a list, by each way there is.
func (w *world) audits(there []fleet.AuditEntry, orphans bool, q fleet.AuditQuery) {
	w.Helper()
	newest := slices.Clone(there)
	slices.Reverse(newest)
	if q.Search+q.Action+q.Actor+q.Outcome == "" && (!q.From.IsZero() || !q.To.IsZero()) { // all of a time, in its order
		slices.SortStableFunc(newest, func(a, b fleet.AuditEntry) int { return b.At.Compare(a.At) })
	}
	var want []string
	for _, e := range newest {
		text := strings.ToLower(strings.Join([]string{e.Actor, e.Object, e.Remote, e.Outcome, e.Detail}, "\n"))
		refused := q.Outcome == fleet.OutcomeRefused
		if (e.Account == w.account.ID || orphans && e.Account == "") && cmp.Or(q.Action, e.Action) == e.Action && cmp.Or(q.Actor, e.Actor) == e.Actor &&
			(q.Outcome == "" || q.Outcome == e.Outcome || refused && e.Outcome != "ok") && strings.Contains(text, strings.ToLower(q.Search)) &&
			!e.At.Before(q.From) && (q.To.IsZero() || e.At.Before(q.To)) {
			want = append(want, e.Object)
		}
	}
	for way, read := range []func(fleet.Tx, id.Account, bool, fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error){fleet.Tx.Audit, store.NarrowAudit} {
		var got []string
		for q, more := q, true; more; more = q.Cursor != "" {
			var p fleet.Page[fleet.AuditEntry]
			w.see(func(tx fleet.Tx) (err error) { p, err = read(tx, w.account.ID, orphans, q); return err })
			if p.More && (p.Total >= len(want) || p.Total == 0) || !p.More && p.Total != len(want) {
				w.Errorf("way %d, %+v: %d in all (more: %t), want %d", way, q, p.Total, p.More, len(want))
			}
			for _, e := range p.Items {
				got = append(got, e.Object)
			}
			q.Cursor = p.Next
		}
		if !slices.Equal(got, want) {
			w.Fatalf("way %d, orphans %t, %+v: %d entries, want %d:\n%s\nwant\n%s", way, orphans, q, len(got), len(want), got, want)
		}
	}
}
