package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// A search is a filter and a sort, whatever index answers it: of devices with
// names and serial numbers of few letters, added, changed and removed at random, in
// two accounts, groups and states.
func TestSearchIsAFilterAndASort(t *testing.T) {
	onEach(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		below := fleet.Account{ID: id.NewAccount(), Parent: w.account.ID, Name: "Below", Created: at(0)}
		groups := []id.Group{"", "grp_one", "grp_two", "grp_gone"}
		w.do(func(tx fleet.Tx) error {
			for _, g := range groups[1:] {
				if err := tx.AddGroup(fleet.Group{ID: g, Account: w.account.ID, Name: string(g), Created: at(0)}); err != nil {
					return err
				}
			}
			return tx.AddAccount(below)
		})
		there := []fleet.Device{w.device}
		w.do(func(tx fleet.Tx) error {
			for i := range 1060 { // more than are all looked at, in each account
				d := fleet.Device{ID: id.NewDevice(), Account: w.account.ID, Name: someName(r), Comment: someName(r), Created: at(i), Group: groups[r.IntN(4)],
					Presence: fleet.Presence{Status: []fleet.Status{fleet.StatusConnected, fleet.StatusNever}[r.IntN(2)], Since: at(r.IntN(50))}}
				if i%2 == 0 {
					d.Account, d.Group = below.ID, ""
				}
				if i%3 != 0 { // the others were not activated yet
					d.Serial = someSerial(r, i)
				}
				there = append(there, d)
				if err := tx.AddDevice(d); err != nil {
					return err
				}
			}
			return nil
		})
		store.Crowd(w.Store.(*store.Store)) // from here on: so many in so little room take minutes
		w.indexNames()
		w.do(func(tx fleet.Tx) error {
			for i := range there { // the last ones go
				if d := &there[i]; i >= 1040 {
					if err := tx.RemoveDevice(d.ID); err != nil {
						return err
					}
				} else if i > 0 && i%3 == 0 {
					switch i % 5 {
					case 0, 1:
						d.Name, d.Comment = someName(r), someName(r)
					case 2:
						d.Serial = someSerial(r, i)
					case 3:
						if d.Account == w.account.ID {
							d.Group = groups[r.IntN(4)]
						}
					case 4: // its clock, or control's, may have been set
						d.Presence.Since = at(r.IntN(100) - 50)
					}
					if err := errors.Join(tx.UpdateDevice(*d), tx.SavePresence(d.ID, d.Presence)); err != nil {
						return err
					}
				}
			}
			for i := range there {
				if d := &there[i]; d.Group == groups[3] {
					d.Group = ""
				}
			}
			return tx.RemoveGroup(groups[3])
		})
		there = there[:1040]
		for i := range 6 {
			if i == 3 {
				w.indexNames() // until here, some are found among the changes
			}
			q := fleet.DeviceQuery{Search: someName(r), Desc: r.IntN(2) == 0, Sub: r.IntN(3) == 0, Seen: everything,
				Sort: []string{"", fleet.SortName, fleet.SortSerial, fleet.SortSince}[r.IntN(4)]}
			if cut := r.IntN(4) + 1; len(q.Search) > cut && r.IntN(4) > 0 {
				q.Search = strings.ToValidUTF8(q.Search[:cut], "")
			}
			if r.IntN(4) == 0 {
				q.Status = fleet.StatusConnected
			}
			switch r.IntN(8) {
			case 0:
				q.Group = string(groups[1])
			case 1:
				q.Group = fleet.GroupNone
			case 2:
				q.Seen = fleet.GroupFilter{Except: true, Groups: groups[2:]}
			case 3:
				q.Seen = fleet.GroupFilter{Groups: groups[:2]}
			}
			if q.Search != "" {
				w.filtersAndSorts(there, q)
			}
		}
	})
}

// Who has all pieces of what was typed, and not in one piece, is none of the page,
// also where they are most of what an index finds.
func TestSearchLooksAtTexts(t *testing.T) {
	onEach(t, func(w *world) {
		there := []fleet.Device{w.device}
		w.do(func(tx fleet.Tx) error {
			for i := range 140 {
				d := fleet.Device{ID: id.NewDevice(), Account: w.account.ID, Name: fmt.Sprintf("abc bcd %d", i), Created: at(i),
					Presence: fleet.Presence{Status: fleet.StatusConnected, Since: at(i * 37 % 140)}}
				if i%3 == 0 {
					d.Name = fmt.Sprintf("abcd %d", i)
				}
				there = append(there, d)
				if err := tx.AddDevice(d); err != nil {
					return err
				}
			}
			return nil
		})
		for _, desc := range []bool{false, true} {
			w.filtersAndSorts(there, fleet.DeviceQuery{Search: "abcd", Sort: fleet.SortSince, Desc: desc, Seen: everything})
		}
	})
}

func (w *world) indexNames() {
	w.Helper()
	if err := w.Store.(*store.Store).IndexTexts(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func someSerial(r *rand.Rand, i int) id.Serial {
	return id.Serial(fmt.Sprintf("%s%d", strings.ToUpper(someName(r)), i))
}

func someName(r *rand.Rand) string {
	letters := []string{"a", "b", "A", "é", " ", "_", "%", `"`}
	var name strings.Builder
	for range 1 + r.IntN(7) {
		name.WriteString(letters[r.IntN(len(letters))])
	}
	return name.String()
}

// filtersAndSorts reads all pages of a search, by each way there is.
func (w *world) filtersAndSorts(there []fleet.Device, q fleet.DeviceQuery) {
	w.Helper()
	typed := strings.ToLower(q.Search)
	var want []fleet.Device
	for _, d := range there {
		if strings.Contains(store.SearchText(d), typed) && q.Sub == (d.Account != w.account.ID) && (q.Status == "" || d.Presence.Status == q.Status) &&
			(q.Group == "" || q.Group == fleet.GroupNone && d.Group == "" || q.Group == string(d.Group)) && slices.Contains(q.Seen.Groups, d.Group) != q.Seen.Except {
			want = append(want, d)
		}
	}
	slices.SortFunc(want, func(a, b fleet.Device) int {
		begins, order := 0, 0
		switch q.Sort {
		case fleet.SortSince:
			order = a.Presence.Since.Compare(b.Presence.Since)
		case fleet.SortSerial:
			order = cmp.Compare(a.Serial, b.Serial)
		default:
			begins, order = beginning(b, typed)-beginning(a, typed), cmp.Compare(store.SortName(a), store.SortName(b))
		}
		order = cmp.Or(order, cmp.Compare(a.ID, b.ID))
		if q.Desc {
			order = -order
		}
		return cmp.Or(begins, order)
	})
	ways := []readDevices{fleet.Tx.Devices, store.Gone}
	if q.Sort != fleet.SortSince {
		ways = append(ways, store.Streamed)
	}
	for way, read := range ways {
		var got []fleet.Device
		for q, more := q, true; more; more = q.Cursor != "" {
			q.Limit = 90
			var p fleet.Page[fleet.Device]
			w.see(func(tx fleet.Tx) (err error) { p, err = read(tx, w.account.ID, q); return err })
			if p.More && (p.Total > len(want) || p.Total == 0) || !p.More && p.Total != len(want) {
				w.Errorf("way %d, %+v: %d in all (more: %t), want %d", way, q, p.Total, p.More, len(want))
			}
			got, q.Cursor = append(got, p.Items...), p.Next
		}
		same := func(a, b fleet.Device) bool { return a.ID == b.ID }
		if !slices.EqualFunc(got, want, same) {
			w.Fatalf("way %d, %+v: %d devices, want %d:\n%s\nwant\n%s", way, q, len(got), len(want), names(got), names(want))
		}
	}
}

func names(ds []fleet.Device) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%q %s, ", d.Name, d.ID)
	}
	return b.String()
}
