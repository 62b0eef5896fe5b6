package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// addRecord makes a device that waits for its PBX.
func (w *world) addRecord(name, code string, g id.Group) fleet.Device {
	w.Helper()
	d := fleet.Device{
		ID: id.NewDevice(), Account: w.account.ID, Name: name, Comment: "3rd floor", Passwordless: true, Group: g, Created: at(2),
		Code: fleet.CodeState{Hash: code, Expires: at(60)}, Presence: fleet.Presence{Status: fleet.StatusNotActivated},
	}
	w.do(func(tx fleet.Tx) error { return tx.AddDevice(d) })
	return d
}

func TestRecords(t *testing.T) {
	onEach(t, func(w *world) {
		a, b := w.addRecord("Acme", "hash-a", ""), w.addRecord("Bolt", "hash-b", "")
		w.see(func(tx fleet.Tx) error {
			got, err := tx.DeviceByCode("hash-a")
			equal(w.T, got, a)
			_, err2 := tx.DeviceByCode("hash-c")
			wantErr(w.T, err2, fleet.ErrNoRow)
			return err
		})
		b.Code.Hash = "hash-a"
		if err := w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.UpdateDevice(b) }); !errors.Is(err, fleet.ErrTaken) {
			w.Errorf("a second device with the same code: %v", err)
		}
		// Without a code, and bound to a PBX: everything can be written.
		a.Code = fleet.CodeState{}
		b.Code = fleet.CodeState{Hash: "hash-d", Expires: at(70), Used: at(3)}
		b.Site, b.Serial, b.Key, b.Activated = id.NewSite(), "SN-0007", w.device.Key, at(3)
		b.Comment, b.Passwordless, b.Model, b.Firmware = "", false, "P-Series", "2"
		w.do(func(tx fleet.Tx) error {
			site := fleet.Site{ID: b.Site, Account: b.Account, Created: at(3), Licensed: true}
			return errors.Join(tx.UpdateDevice(a), tx.AddSite(site), tx.UpdateDevice(b), tx.SavePresence(b.ID, fleet.Presence{Status: fleet.StatusNever}))
		})
		b.Presence.Status = fleet.StatusNever
		w.see(func(tx fleet.Tx) error {
			x, err := tx.Device(a.ID)
			equal(w.T, x, a)
			y, err2 := tx.DeviceByCode("hash-d")
			equal(w.T, y, b)
			counts, err3 := tx.DeviceCounts(w.account.ID)
			equal(w.T, counts, map[fleet.Status]int{fleet.StatusNever: 2, fleet.StatusNotActivated: 1})
			n, err4 := tx.CountDevices(w.account.ID, fleet.StatusNever, 9)
			m, err5 := tx.CountDevices(w.account.ID, fleet.StatusNever, 1)
			equal(w.T, []int{n, m}, []int{2, 1})
			return errors.Join(err, err2, err3, err4, err5)
		})
	})
}

func TestGroups(t *testing.T) {
	onEach(t, func(w *world) {
		north := fleet.Group{ID: id.NewGroup(), Account: w.account.ID, Name: "north", Created: at(1)}
		east := fleet.Group{ID: id.NewGroup(), Account: w.account.ID, Name: "East", Created: at(2)}
		w.do(func(tx fleet.Tx) error { return errors.Join(tx.AddGroup(north), tx.AddGroup(east)) })
		in := w.addRecord("Acme", "h", north.ID)
		same := north
		same.ID, same.Name = id.NewGroup(), "NORTH"
		if err := w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.AddGroup(same) }); !errors.Is(err, fleet.ErrTaken) {
			w.Errorf("a second group of that name: %v", err)
		}
		groups := func() (gs []fleet.Group) {
			w.see(func(tx fleet.Tx) (err error) { gs, err = tx.Groups(w.account.ID); return err })
			return gs
		}
		north.Devices = 1
		equal(w.T, groups(), []fleet.Group{east, north})
		north.Name = "A north"
		w.do(func(tx fleet.Tx) error { return tx.UpdateGroup(north) })
		equal(w.T, groups(), []fleet.Group{north, east})
		for group, want := range map[string][]id.Device{"": {in.ID, w.device.ID}, string(north.ID): {in.ID}, fleet.GroupNone: {w.device.ID}, string(east.ID): nil} {
			var got []id.Device
			for _, d := range w.devices(fleet.DeviceQuery{Group: group, Limit: 9, Seen: everything}).Items {
				got = append(got, d.ID)
			}
			equal(w.T, got, want)
		}
		w.do(func(tx fleet.Tx) error { return tx.RemoveGroup(north.ID) })
		w.see(func(tx fleet.Tx) error {
			_, err := tx.Group(north.ID)
			wantErr(w.T, err, fleet.ErrNoRow)
			d, err := tx.Device(in.ID)
			equal(w.T, d.Group, "")
			return err
		})
		equal(w.T, groups(), []fleet.Group{east})
	})
}

// Whom a role may not see stays out of lists and their totals.
func TestDevicesSeen(t *testing.T) {
	onEach(t, func(w *world) {
		g, h := id.NewGroup(), id.NewGroup()
		w.addRecord("b", "hb", g)
		w.addRecord("c", "hc", h)
		for _, c := range []struct {
			seen fleet.GroupFilter
			want string
		}{
			{fleet.GroupFilter{}, ""},
			{fleet.GroupFilter{Except: true}, "Alpha b c "},
			{fleet.GroupFilter{Except: true, Groups: []id.Group{g}}, "Alpha c "},
			{fleet.GroupFilter{Groups: []id.Group{g}}, "b "},
			{fleet.GroupFilter{Groups: []id.Group{g, h}}, "b c "},
		} {
			w.see(func(tx fleet.Tx) error {
				p, err := tx.Devices(w.account.ID, fleet.DeviceQuery{Seen: c.seen, Limit: 9})
				got := ""
				for _, d := range p.Items {
					got += d.Name + " "
				}
				equal(w.T, got, c.want)
				equal(w.T, p.Total, len(p.Items))
				return err
			})
		}
	})
}

// Every order is one over all pages, in both directions.
func TestDeviceOrders(t *testing.T) {
	onEach(t, func(w *world) {
		for i := range 5 {
			d := w.addDevice(id.Serial(fmt.Sprintf("SN-9%d", 7*i%5)), fmt.Sprint("pbx ", 3*i%5))
			w.do(func(tx fleet.Tx) error {
				return tx.SavePresence(d.ID, fleet.Presence{Status: fleet.StatusConnected, Since: at(i * 2 % 5), Relay: "r"})
			})
		}
		w.addRecord("waits", "h", "")
		for _, order := range []string{"", fleet.SortName, fleet.SortSerial, fleet.SortSince} {
			var all []id.Device
			for _, d := range w.devices(fleet.DeviceQuery{Sort: order, Limit: 100, Seen: everything}).Items {
				all = append(all, d.ID)
			}
			equal(w.T, len(all), 7)
			for _, desc := range []bool{false, true} {
				want := slices.Clone(all)
				if desc {
					slices.Reverse(want)
				}
				var got []id.Device
				q := fleet.DeviceQuery{Sort: order, Desc: desc, Limit: 2, Seen: everything}
				for {
					p := w.devices(q)
					for _, d := range p.Items {
						got = append(got, d.ID)
					}
					if q.Cursor = p.Next; q.Cursor == "" {
						break
					}
				}
				if !slices.Equal(got, want) {
					w.Errorf("by %q, descending %t: %v, want %v", order, desc, got, want)
				}
			}
		}
	})
}

// The accounts below are those at any depth, and not one's own.
func TestDevicesBelow(t *testing.T) {
	onEach(t, func(w *world) {
		child := fleet.Account{ID: id.NewAccount(), Parent: w.account.ID, Name: "Child", Created: at(1)}
		grandchild := fleet.Account{ID: id.NewAccount(), Parent: child.ID, Name: "Grandchild", Created: at(1)}
		w.do(func(tx fleet.Tx) error { return errors.Join(tx.AddAccount(child), tx.AddAccount(grandchild)) })
		root := w.account
		for i, a := range []fleet.Account{child, grandchild} {
			w.account = a
			w.addRecord(fmt.Sprint("below ", i), fmt.Sprint("h", i), "")
		}
		for _, c := range []struct {
			of   fleet.Account
			q    fleet.DeviceQuery
			want int
		}{
			{root, fleet.DeviceQuery{}, 1},
			{root, fleet.DeviceQuery{Sub: true}, 2},
			{root, fleet.DeviceQuery{Sub: true, Account: grandchild.ID}, 1},
			{root, fleet.DeviceQuery{Sub: true, Search: "BELOW 1"}, 1},
			{child, fleet.DeviceQuery{Sub: true}, 1},
			{grandchild, fleet.DeviceQuery{Sub: true}, 0},
		} {
			w.account, c.q.Limit, c.q.Seen = c.of, 9, everything
			if p := w.devices(c.q); len(p.Items) != c.want || p.Total != c.want {
				w.Errorf("%s %+v: %d of %d", c.of.Name, c.q, len(p.Items), p.Total)
			}
		}
	})
}
