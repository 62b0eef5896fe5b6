package store_test

import (
	"testing"
	"time"

	"trunkline/control/fleet"
)

// More entries than are counted are gone through in order, page by page: the
// account's, and those of nobody where they are shown.
func TestManyAuditEntriesComeInOrder(t *testing.T) {
	onEach(t, func(w *world) {
		const entries = fleet.MaxTotal + 500
		w.do(func(tx fleet.Tx) error {
			for i := range entries {
				e := fleet.AuditEntry{At: at(i), Account: w.account.ID, Actor: "usr_a", Action: "device.rename", Object: "dev_a", Outcome: "ok"}
				if i%3 == 0 {
					e.Account, e.Action = "", "sign_in"
				}
				if err := tx.AddAudit(e); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			name    string
			orphans bool
			q       fleet.AuditQuery
			want    int
		}{
			{"all", true, fleet.AuditQuery{}, entries},
			{"the account's", false, fleet.AuditQuery{}, entries - (entries+2)/3},
			{"until the last ten", true, fleet.AuditQuery{To: at(entries - 10)}, entries - 10},
			{"but the first ten", true, fleet.AuditQuery{From: at(10)}, entries - 10},
		} {
			got, last := 0, time.Time{}
			for q := c.q; ; {
				q.Limit = 200
				var p fleet.Page[fleet.AuditEntry]
				w.see(func(tx fleet.Tx) (err error) { p, err = tx.Audit(w.account.ID, c.orphans, q); return err })
				for _, e := range p.Items {
					if !last.IsZero() && !e.At.Before(last) {
						w.Fatalf("%s: %s comes after %s", c.name, e.At, last)
					}
					got, last = got+1, e.At
				}
				if q.Cursor = p.Next; q.Cursor == "" {
					break
				}
			}
			if got != c.want {
				w.Errorf("%s: %d entries, want %d", c.name, got, c.want)
			}
		}
	})
}
