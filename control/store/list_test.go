package store_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

var everything = fleet.GroupFilter{Except: true}

// Whatever the page size, a list gives every device once and in order.
func TestDevicePages(t *testing.T) {
	onEach(t, func(w *world) {
		want := []string{"Alpha"}
		for i := range 23 {
			// Names in mixed case, and many the same: order is by lower case, then id.
			name := []string{"beta", "Beta", "GAMMA 50%", "delta_1", "Épsilon"}[i%5]
			w.addDevice(id.Serial(fmt.Sprintf("SN-1%03d", i)), name)
			want = append(want, name)
		}
		for _, limit := range []int{1, 4, 24, 200} {
			seen, q := []id.Device{}, fleet.DeviceQuery{Limit: limit, Seen: everything}
			last := ""
			for {
				p := w.devices(q)
				equal(w.T, p.Total, len(want))
				for _, d := range p.Items {
					key := fmt.Sprintf("%s %s", store.SortName(d), d.ID)
					if key <= last {
						w.Fatalf("%q after %q", key, last)
					}
					last, seen = key, append(seen, d.ID)
				}
				if q.Cursor = p.Next; q.Cursor == "" {
					break
				}
			}
			if slices.Sort(seen); len(slices.Compact(seen)) != len(want) {
				w.Errorf("limit %d: %d of %d devices", limit, len(seen), len(want))
			}
		}
	})
}

func (w *world) devices(q fleet.DeviceQuery) (p fleet.Page[fleet.Device]) {
	w.Helper()
	w.see(func(tx fleet.Tx) (err error) {
		p, err = tx.Devices(w.account.ID, q)
		return err
	})
	return p
}

func TestDeviceSearch(t *testing.T) {
	onEach(t, func(w *world) {
		b := w.addDevice("SN-0002", "Beta 50%")
		c := w.addDevice("SN-0003", "Gamma_Élan")
		w.do(func(tx fleet.Tx) error {
			return tx.SavePresence(c.ID, fleet.Presence{Status: fleet.StatusConnected, Since: at(3), Relay: "r"})
		})
		for _, c := range []struct {
			q    fleet.DeviceQuery
			want []id.Device
		}{
			{fleet.DeviceQuery{}, []id.Device{w.device.ID, b.ID, c.ID}},
			{fleet.DeviceQuery{Search: "sn-000"}, []id.Device{w.device.ID, b.ID, c.ID}},
			{fleet.DeviceQuery{Search: "ALPHA"}, []id.Device{w.device.ID}},
			{fleet.DeviceQuery{Search: "%"}, []id.Device{b.ID}},
			{fleet.DeviceQuery{Search: "_"}, []id.Device{c.ID}},
			{fleet.DeviceQuery{Search: "éLAN"}, []id.Device{c.ID}},
			{fleet.DeviceQuery{Search: `\`}, nil},
			{fleet.DeviceQuery{Search: "' OR 1=1 --"}, nil},
			{fleet.DeviceQuery{Search: string(b.Site)}, []id.Device{b.ID}},
			{fleet.DeviceQuery{Status: fleet.StatusConnected}, []id.Device{c.ID}},
			{fleet.DeviceQuery{Status: fleet.StatusNever, Search: "p-series"}, []id.Device{w.device.ID, b.ID}},
		} {
			c.q.Limit, c.q.Seen = 10, everything
			var got []id.Device
			p := w.devices(c.q)
			for _, d := range p.Items {
				got = append(got, d.ID)
			}
			if !slices.Equal(got, c.want) || p.Total != len(c.want) {
				w.Errorf("%+v: %v of %d, want %v", c.q, got, p.Total, c.want)
			}
		}
		w.see(func(tx fleet.Tx) error {
			p, err := tx.Devices("acc_somebodyelse0000", fleet.DeviceQuery{Limit: 10, Seen: everything})
			equal(w.T, len(p.Items), 0)
			ds, err2 := tx.DevicesByID([]id.Device{c.ID, id.NewDevice(), w.device.ID})
			equal(w.T, len(ds), 2)
			wantErr(w.T, err2, nil)
			return err
		})
	})
}

// A visit that follows whichever of a pair serves is in the list of each of the two,
// and of nobody else's.
func TestVisitsOfAPair(t *testing.T) {
	onEach(t, func(w *world) {
		peer, other := w.addDevice("SN-0002", "Beta"), w.addDevice("SN-0003", "Gamma")
		peer.Site = w.device.Site
		w.do(func(tx fleet.Tx) error { return tx.UpdateDevice(peer) })
		own := w.addVisit(at(1), "h1")
		v := own
		v.ID, v.Device, v.Started = id.NewVisit(), "", at(2)
		w.do(func(tx fleet.Tx) error { return tx.AddVisit(v, "h2") })
		read := func(d id.Device) (got []id.Visit) {
			w.see(func(tx fleet.Tx) error {
				p, err := tx.Visits(w.account.ID, fleet.VisitQuery{Device: d, Limit: 10})
				for _, x := range p.Items {
					got = append(got, x.ID)
				}
				equal(w.T, p.Total, len(got))
				return err
			})
			return got
		}
		equal(w.T, read(w.device.ID), []id.Visit{v.ID, own.ID})
		equal(w.T, read(peer.ID), []id.Visit{v.ID})
		equal(w.T, len(read(other.ID)), 0)
	})
}

// Visits that are on and visits that have ended are two lists, each with its own
// pages and its own total.
func TestVisitsOnAndEnded(t *testing.T) {
	onEach(t, func(w *world) {
		var on, ended []id.Visit
		for i := range 9 {
			v := w.addVisit(at(i), fmt.Sprint("h", i))
			if i%3 == 0 {
				on = append(on, v.ID)
				continue
			}
			ended = append(ended, v.ID)
			v.Ended = at(20)
			w.do(func(tx fleet.Tx) error { return tx.UpdateVisit(v) })
		}
		read := func(q fleet.VisitQuery) (got []id.Visit) {
			w.Helper()
			total := 0
			for q.Limit = 2; ; {
				w.see(func(tx fleet.Tx) error {
					p, err := tx.Visits(w.account.ID, q)
					for _, v := range p.Items {
						got = append(got, v.ID)
					}
					q.Cursor, total = p.Next, p.Total
					return err
				})
				if q.Cursor == "" {
					break
				}
			}
			equal(w.T, total, len(got))
			slices.Reverse(got)
			return got
		}
		for _, q := range []fleet.VisitQuery{{}, {User: w.user.ID}, {Device: w.device.ID}} {
			q.Live = true
			equal(w.T, read(q), on)
			q.Live, q.Ended = false, true
			equal(w.T, read(q), ended)
		}
		w.see(func(tx fleet.Tx) error {
			by, err := tx.LiveVisitsBy(w.account.ID, []id.User{w.user.ID, id.NewUser()})
			equal(w.T, by, map[id.User]int{w.user.ID: len(on)})
			none, err2 := tx.LiveVisitsBy(w.account.ID, nil)
			elsewhere, err3 := tx.LiveVisitsBy(id.NewAccount(), []id.User{w.user.ID})
			equal(w.T, len(none)+len(elsewhere), 0)
			return errors.Join(err, err2, err3)
		})
	})
}

func TestVisitPages(t *testing.T) {
	onEach(t, func(w *world) {
		for i := range 7 {
			w.addVisit(at(i/2), fmt.Sprint("h", i)) // two begin at the same moment
		}
		n, next := 0, ""
		for {
			var p fleet.Page[fleet.Visit]
			w.see(func(tx fleet.Tx) (err error) {
				p, err = tx.Visits(w.account.ID, fleet.VisitQuery{Cursor: next, Limit: 3})
				return err
			})
			equal(w.T, p.Total, 7)
			n += len(p.Items)
			if next = p.Next; next == "" {
				break
			}
		}
		equal(w.T, n, 7)
	})
}

func TestAuditPages(t *testing.T) {
	onEach(t, func(w *world) {
		w.do(func(tx fleet.Tx) error {
			for i := range 6 {
				e := fleet.AuditEntry{At: at(i), Account: w.account.ID, Actor: "a@example.com", Action: "activate", Object: fmt.Sprint("PBX ", i), Outcome: "ok"}
				if i == 5 {
					e.Account, e.Action, e.Outcome = "", "sign_in", "wrong_login"
				}
				if err := tx.AddAudit(e); err != nil {
					return err
				}
			}
			for range 2 {
				if err := tx.AddAuditOnce("k", fleet.AuditEntry{At: at(9), Account: w.account.ID, Action: "visit_open"}); err != nil {
					return err
				}
			}
			return nil
		})
		read := func(orphans bool, q fleet.AuditQuery) (p fleet.Page[fleet.AuditEntry]) {
			w.see(func(tx fleet.Tx) (err error) {
				p, err = tx.Audit(w.account.ID, orphans, q)
				return err
			})
			return p
		}
		p := read(true, fleet.AuditQuery{Limit: 5})
		equal(w.T, []any{p.Total, len(p.Items), p.Items[0].Action, p.Items[1].Outcome}, []any{7, 5, "visit_open", "wrong_login"})
		p = read(true, fleet.AuditQuery{Limit: 5, Cursor: p.Next})
		equal(w.T, []any{len(p.Items), p.Items[1].Object, p.Next}, []any{2, "PBX 0", ""})
		equal(w.T, read(false, fleet.AuditQuery{Limit: 5}).Total, 6)
		equal(w.T, read(true, fleet.AuditQuery{Limit: 5, Search: "pbx 3"}).Total, 1)
		equal(w.T, read(true, fleet.AuditQuery{Limit: 5, Action: "activate"}).Total, 5)
	})
}

func TestBadCursors(t *testing.T) {
	onEach(t, func(w *world) {
		for _, c := range []string{"x", "!", "bnVsbA", "WzFd", "W10", "WyJhIixudWxsXQ", store.Cursor("a"), store.Cursor("a", "b", "c")} {
			w.see(func(tx fleet.Tx) error {
				_, err := tx.Devices(w.account.ID, fleet.DeviceQuery{Limit: 1, Cursor: c, Seen: everything})
				wantErr(w.T, err, fleet.ErrBadCursor)
				_, err = tx.Visits(w.account.ID, fleet.VisitQuery{Cursor: c, Limit: 1})
				wantErr(w.T, err, fleet.ErrBadCursor)
				return nil
			})
		}
	})
}

// What is accepted as a cursor is one, as a list would have made it.
func FuzzReadCursor(f *testing.F) {
	f.Add(store.Cursor("name", "dev_0123456789abcdef"))
	f.Add(store.Cursor(int64(5), "x"))
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`["a", "b"]`)))
	f.Fuzz(func(t *testing.T, s string) {
		var a, b string
		if store.ReadCursor(s, &a, &b) != nil {
			return
		}
		var c, d string
		if err := store.ReadCursor(store.Cursor(a, b), &c, &d); len(a)+len(b) < 500 && (err != nil || a != c || b != d) {
			t.Errorf("%q: %q %q became %q %q, %v", s, a, b, c, d, err)
		}
	})
}
