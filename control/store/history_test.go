package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestTimeline(t *testing.T) {
	onEach(t, func(w *world) {
		add := func(n int, c fleet.StatusChange, keep int) {
			w.Helper()
			for range n {
				w.do(func(tx fleet.Tx) error { return tx.AddDeviceEvent(w.device.ID, c, keep) })
			}
		}
		read := func(cursor string, limit int) (p fleet.Page[fleet.StatusChange]) {
			w.see(func(tx fleet.Tx) (err error) { p, err = tx.DeviceEvents(w.device.ID, cursor, limit); return err })
			return p
		}
		up := fleet.StatusChange{At: at(1), Kind: "connected", Detail: "relay r1"}
		lost := fleet.StatusChange{At: at(2), Kind: "disconnected", Reason: fault.RelayLost}
		add(2, up, 9)
		add(2, lost, 9)
		// Another control node noticed the same loss a moment later.
		add(1, fleet.StatusChange{At: at(2).Add(time.Millisecond), Kind: "disconnected", Reason: fault.RelayLost}, 9)
		equal(w.T, read("", 9).Items, []fleet.StatusChange{lost, up})
		back := fleet.StatusChange{At: at(3), Kind: "connected", Detail: "relay r2"}
		again := fleet.StatusChange{At: at(4), Kind: "disconnected", Reason: fault.RelayLost}
		add(1, back, 9)
		add(1, again, 9)
		first := read("", 3)
		equal(w.T, []any{first.Items, first.Total}, []any{[]fleet.StatusChange{again, back, lost}, 4})
		equal(w.T, read(first.Next, 3).Items, []fleet.StatusChange{up})
		add(1, fleet.StatusChange{At: at(5), Kind: "connected"}, 2) // and the oldest go
		equal(w.T, read("", 9).Total, 2)
		w.see(func(tx fleet.Tx) error {
			_, err := tx.DeviceEvents(w.device.ID, "x", 1)
			wantErr(w.T, err, fleet.ErrBadCursor)
			return nil
		})
		// Of a device that is gone nothing is kept, and nothing comes back.
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.RemoveDevice(w.device.ID), tx.AddDeviceEvent(w.device.ID, up, 9))
		})
		equal(w.T, read("", 9).Total, 0)
	})
}

func TestAuditSelected(t *testing.T) {
	onEach(t, func(w *world) {
		w.do(func(tx fleet.Tx) error {
			for i, outcome := range []string{"ok", "rejected", "ok", "forbidden", "ok"} {
				e := fleet.AuditEntry{At: at(i), Account: w.account.ID, Actor: fmt.Sprintf("%d@example.com", i%2), Action: "x", Outcome: outcome}
				if err := tx.AddAudit(e); err != nil {
					return err
				}
			}
			return nil
		})
		count := func(q fleet.AuditQuery) (n int) {
			q.Limit = 9
			w.see(func(tx fleet.Tx) error {
				p, err := tx.Audit(w.account.ID, false, q)
				n = p.Total
				return err
			})
			return n
		}
		equal(w.T, count(fleet.AuditQuery{Outcome: "ok"}), 3)
		equal(w.T, count(fleet.AuditQuery{Outcome: fleet.OutcomeRefused}), 2)
		equal(w.T, count(fleet.AuditQuery{Outcome: "forbidden"}), 1)
		equal(w.T, count(fleet.AuditQuery{Actor: "1@example.com"}), 2)
		equal(w.T, count(fleet.AuditQuery{From: at(1), To: at(3)}), 2)
		equal(w.T, count(fleet.AuditQuery{From: at(4)}), 1)
		equal(w.T, count(fleet.AuditQuery{Actor: "0@example.com", Outcome: "ok", To: at(4)}), 2)
		for _, want := range []int{2, 1, 0} { // bounded, the oldest first
			w.do(func(tx fleet.Tx) error {
				n, err := tx.DropAuditBefore(at(3), 2)
				equal(w.T, n, want)
				return err
			})
		}
		equal(w.T, count(fleet.AuditQuery{}), 2)
		equal(w.T, count(fleet.AuditQuery{Outcome: "ok", From: at(0)}), 1)
		w.do(func(tx fleet.Tx) error { _, err := tx.DropAuditBefore(at(0).Add(2*time.Hour), 10); return err })
		if hours := store.AuditHours(w.T, w.Store.(*store.Store)); hours != 0 {
			w.Errorf("%d hours of entries that are gone", hours)
		}
	})
}

func TestSamples(t *testing.T) {
	onEach(t, func(w *world) {
		w.addVisit(at(1), "h")
		w.do(func(tx fleet.Tx) error {
			empty := fleet.Account{ID: id.NewAccount(), Parent: w.account.ID, Name: "No devices", Created: at(1)}
			return errors.Join(tx.AddAccount(empty), tx.AddSamples(at(0)), tx.AddSamples(at(0)))
		})
		w.do(func(tx fleet.Tx) error {
			up := fleet.Presence{Status: fleet.StatusConnected, Since: at(2), Relay: "r"}
			return errors.Join(tx.SavePresence(w.device.ID, up), tx.AddSamples(at(15)), tx.AddSamples(at(0)))
		})
		want := []fleet.Sample{{At: at(0), Devices: 1, Visits: 1}, {At: at(15), Connected: 1, Devices: 1, Visits: 1}}
		read := func() (ss []fleet.Sample) {
			w.see(func(tx fleet.Tx) (err error) { ss, err = tx.Samples(w.account.ID, at(0)); return err })
			return ss
		}
		equal(w.T, read(), want)
		w.do(func(tx fleet.Tx) error { return tx.DropSamplesBefore(at(15)) })
		equal(w.T, read(), want[1:])
		w.see(func(tx fleet.Tx) error {
			over, alarms, err := tx.SiteTroubles(w.account.ID)
			n, err2 := tx.CountLiveVisits(w.account.ID)
			equal(w.T, []int{over, alarms, n}, []int{0, 0, 1})
			return errors.Join(err, err2)
		})
	})
}

func TestFleetCounts(t *testing.T) {
	onEach(t, func(w *world) {
		w.addVisit(at(1), "h")
		w.do(func(tx fleet.Tx) error {
			peer, new := w.device, w.device
			peer.ID, peer.Serial, peer.Key, peer.Presence.Status = id.NewDevice(), "PEER", nil, fleet.StatusConnected // of the same site: a pair
			new.ID, new.Serial, new.Key, new.Presence.Status = id.NewDevice(), "NEW", nil, fleet.StatusNever
			new.Site = id.NewSite()
			site := fleet.Site{ID: new.Site, Account: w.account.ID, Created: at(0), Alarm: "two_active"}
			return errors.Join(tx.AddDevice(peer), tx.AddSite(site), tx.AddDevice(new))
		})
		w.see(func(tx fleet.Tx) error {
			c, err := tx.FleetCounts()
			equal(w.T, c, fleet.FleetCounts{NeverConnected: 2, Pairs: 1, Alarms: 1, OverCapacity: 1, Visits: 1})
			return err
		})
	})
}
