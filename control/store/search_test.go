package store_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// However a search is answered (all looked at, named by the index, walked), its
// pages give what matches once and in order: by name, first what begins so.
func TestSearchPages(t *testing.T) {
	onEach(t, func(w *world) {
		if err := w.Store.(*store.Store).Seed(t.Context(), 650, 0, at(0), func(int) {}); err != nil {
			t.Fatal(err)
		}
		all := w.devices(fleet.DeviceQuery{Limit: 2000, Seen: everything}).Items
		for _, q := range []fleet.DeviceQuery{
			{Search: "yo"}, {Search: "or"}, {Search: "york"}, {Search: "LAW"}, {Search: "trial"}, {Search: "é"}, {Search: "évo"}, {Search: "00"},
			{Search: "nobody"}, {Search: "york", Status: fleet.StatusConnected}, {Search: "or", Status: fleet.StatusNever},
			{Search: "york", Sort: fleet.SortSerial}, {Search: "or", Sort: fleet.SortSince}, {Search: "trial", Sort: fleet.SortSerial}, {Search: "1", Sort: fleet.SortSince},
		} {
			for _, desc := range []bool{false, true} {
				q.Desc = desc
				t.Run(fmt.Sprintf("%s %s %s desc=%t", q.Search, q.Sort, q.Status, desc), func(t *testing.T) {
					checkSearch(w, t, all, q)
				})
			}
		}
	})
}

// readDevices is a way to read a page of a search.
type readDevices = func(fleet.Tx, id.Account, fleet.DeviceQuery) (fleet.Page[fleet.Device], error)

func checkSearch(w *world, t *testing.T, all []fleet.Device, q fleet.DeviceQuery) {
	typed := strings.ToLower(q.Search)
	var want []fleet.Device
	for _, d := range all {
		if strings.Contains(store.SearchText(d), typed) && (q.Status == "" || d.Presence.Status == q.Status) {
			want = append(want, d)
		}
	}
	slices.SortFunc(want, func(a, b fleet.Device) int {
		begins := 0
		var order int
		switch q.Sort {
		case fleet.SortSerial:
			order = cmp.Compare(a.Serial, b.Serial)
		case fleet.SortSince:
			order = a.Presence.Since.Compare(b.Presence.Since)
		default:
			order = cmp.Compare(store.SortName(a), store.SortName(b))
			begins = beginning(b, typed) - beginning(a, typed)
		}
		order = cmp.Or(order, cmp.Compare(a.ID, b.ID))
		if q.Desc {
			order = -order
		}
		return cmp.Or(begins, order)
	})
	q.Seen = everything
	q.Limit = 75 // more than is counted, and pages end within those that begin so and within the others
	checkPages(w, t, want, q, fleet.Tx.Devices)
	if q.Sort != "" {
		checkPages(w, t, want, q, store.Gone)
	}
}

func checkPages(w *world, t *testing.T, want []fleet.Device, q fleet.DeviceQuery, read readDevices) {
	t.Helper()
	var got []id.Device
	for len(got) <= len(want) {
		var p fleet.Page[fleet.Device]
		w.see(func(tx fleet.Tx) (err error) { p, err = read(tx, w.account.ID, q); return err })
		if p.More && (p.Total > len(want) || p.Total == 0) || !p.More && p.Total != len(want) {
			t.Errorf("%d in all (more: %t), want %d", p.Total, p.More, len(want))
		}
		for _, d := range p.Items {
			got = append(got, d.ID)
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d devices, want %d", len(got), len(want))
	}
	for i, d := range want {
		if got[i] != d.ID {
			t.Fatalf("at %d is %s, want %s (%s)", i, got[i], d.ID, d.Name)
		}
	}
}

func beginning(d fleet.Device, typed string) int {
	if strings.HasPrefix(store.SortName(d), typed) {
		return 1
	}
	return 0
}

// A cursor is what a client sends: what it says of the first page is bounded.
func TestSearchBadCursors(t *testing.T) {
	onEach(t, func(w *world) {
		for _, c := range []string{
			store.Cursor("a", "b"), store.Cursor("a", "b", 2, 1, false), store.Cursor("a", "b", -1, 1, false), store.Cursor("a", "b", 0, -1, false),
			store.Cursor("a", "b", 0, 1<<40, true), store.Cursor(1, "b", 0, 1, true), store.Cursor("a", "b", 0, 1, "true"),
		} {
			w.see(func(tx fleet.Tx) error {
				_, err := tx.Devices(w.account.ID, fleet.DeviceQuery{Search: "alp", Limit: 1, Cursor: c, Seen: everything})
				wantErr(w.T, err, fleet.ErrBadCursor)
				return nil
			})
		}
	})
}
