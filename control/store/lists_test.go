package store_test

import (
	"net/url"
	"strconv"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

const listed = 50 // in a page

// deviceLists are the lists of devices that have to cost the same however many
// there are: of the account's own devices, and of those of the accounts below it.
var deviceLists = []struct {
	name string
	fleet.DeviceQuery
	next bool // the page after the first; where that is all, the first
}{
	{"first page", fleet.DeviceQuery{}, false},
	{"next page", fleet.DeviceQuery{}, true},
	{"last page", fleet.DeviceQuery{Desc: true}, false},
	{"by since", fleet.DeviceQuery{Sort: fleet.SortSince, Desc: true}, false},
	{"by serial", fleet.DeviceQuery{Sort: fleet.SortSerial}, false},
	{"status", fleet.DeviceQuery{Status: fleet.StatusConnected}, false},
	{"status by since", fleet.DeviceQuery{Status: fleet.StatusDisconnected, Sort: fleet.SortSince}, false},
	{"group none", fleet.DeviceQuery{Group: fleet.GroupNone}, false},
	{"group", fleet.DeviceQuery{Group: string(benchGroup(2))}, false},
	{"group status by since", fleet.DeviceQuery{Group: string(benchGroup(2)), Status: fleet.StatusConnected, Sort: fleet.SortSince}, false},
	{"group empty", fleet.DeviceQuery{Group: "grp_zzzzzzzzzzzzzzzz", Sort: fleet.SortSince}, false},
	{"search one", fleet.DeviceQuery{Search: "000777"}, false},
	{"search none", fleet.DeviceQuery{Search: "nobody has this"}, false},
	{"search many", fleet.DeviceQuery{Search: "hotel"}, false},
	{"search all", fleet.DeviceQuery{Search: "trial", Sort: fleet.SortSince}, false},
	{"search many next", fleet.DeviceQuery{Search: "hotel"}, true},
	{"search many by serial", fleet.DeviceQuery{Search: "hotel", Sort: fleet.SortSerial}, false},
	{"search begins", fleet.DeviceQuery{Search: "york"}, false},
	{"search begins and within", fleet.DeviceQuery{Search: "warehouse", Desc: true}, false},
	{"search few", fleet.DeviceQuery{Search: "york law"}, false},
	{"search fewer", fleet.DeviceQuery{Search: "rk l"}, false},
	{"search status", fleet.DeviceQuery{Search: "hotel", Status: fleet.StatusConnected}, false},
	{"search group", fleet.DeviceQuery{Search: "hotel", Group: string(benchGroup(2))}, false},
	{"search group by serial", fleet.DeviceQuery{Search: "hotel", Group: string(benchGroup(2)), Sort: fleet.SortSerial}, false},
	{"search of who sees a group", fleet.DeviceQuery{Search: "hotel", Seen: fleet.GroupFilter{Groups: []id.Group{benchGroup(2)}}}, false},
	{"search all of a group", fleet.DeviceQuery{Search: "trial", Group: string(benchGroup(2))}, false},
	{"search all of a group by serial", fleet.DeviceQuery{Search: "trial", Group: string(benchGroup(2)), Sort: fleet.SortSerial}, false},
	{"search all of who sees a group", fleet.DeviceQuery{Search: "trial", Seen: fleet.GroupFilter{Groups: []id.Group{benchGroup(2)}}}, false},
	{"search within the last", fleet.DeviceQuery{Search: "wolle"}, false},
	{"search within the first", fleet.DeviceQuery{Search: "alen", Desc: true}, false},
	{"search within many of the last", fleet.DeviceQuery{Search: "wol"}, false},
	{"search the last serials", fleet.DeviceQuery{Search: "trialz", Sort: fleet.SortSerial}, false},
	{"search the last serials connected", fleet.DeviceQuery{Search: "trialz", Sort: fleet.SortSerial, Status: fleet.StatusConnected}, false},
	{"search the last changes", fleet.DeviceQuery{Search: " 000", Sort: fleet.SortSince}, false},
	{"search short", fleet.DeviceQuery{Search: "ho"}, false},
	{"search short none", fleet.DeviceQuery{Search: "~~"}, false},
	{"search short anywhere", fleet.DeviceQuery{Search: "zq"}, false},
	{"below", fleet.DeviceQuery{Sub: true}, false},
	{"below by since", fleet.DeviceQuery{Sub: true, Sort: fleet.SortSince, Desc: true}, false},
	{"below search", fleet.DeviceQuery{Sub: true, Search: "000778"}, false},
	{"below search many", fleet.DeviceQuery{Sub: true, Search: "hotel"}, false},
}

// otherLists are asked of the store beside them.
var otherLists = []struct {
	name string
	read func(tx fleet.Tx, f *benched) error
}{
	{"visits", func(tx fleet.Tx, f *benched) error {
		_, err := tx.Visits(f.root, fleet.VisitQuery{Limit: listed})
		return err
	}},
	{"visits ended", func(tx fleet.Tx, f *benched) error {
		_, err := tx.Visits(f.root, fleet.VisitQuery{Ended: true, Limit: listed})
		return err
	}},
	{"audit", auditPage(fleet.AuditQuery{})},
	{"audit refused", auditPage(fleet.AuditQuery{Outcome: fleet.OutcomeRefused})},
	{"audit of several kinds", auditPage(fleet.AuditQuery{Action: "device.activate", Actor: "Trial", Outcome: "ok"})},
	{"audit search", auditPage(fleet.AuditQuery{Search: "000777"})},
	{"audit search many", auditPage(fleet.AuditQuery{Search: "hotel"})},
	{"audit search the oldest", func(tx fleet.Tx, f *benched) error {
		return auditPage(fleet.AuditQuery{Search: f.oldest})(tx, f)
	}},
}

func auditPage(q fleet.AuditQuery) func(fleet.Tx, *benched) error {
	q.Limit = listed
	return func(tx fleet.Tx, f *benched) error {
		_, err := tx.Audit(f.root, true, q)
		return err
	}
}

// storeList reads a list of devices from the store.
func storeList(q fleet.DeviceQuery, next bool) func(*testing.B, *benched) {
	q.Limit = listed
	if len(q.Seen.Groups) == 0 {
		q.Seen = everything
	}
	cursors := make(map[*benched]string)
	read := func(b *testing.B, f *benched, q fleet.DeviceQuery) (p fleet.Page[fleet.Device]) {
		err := f.View(b.Context(), func(tx fleet.Tx) (err error) { p, err = tx.Devices(f.root, q); return err })
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	return func(b *testing.B, f *benched) {
		if _, known := cursors[f]; next && !known {
			cursors[f] = read(b, f, q).Next
		}
		q := q
		q.Cursor = cursors[f]
		read(b, f, q)
	}
}

// apiList asks the API for a list of devices.
func apiList(q fleet.DeviceQuery, next bool) func(*testing.B, *benched) {
	v := url.Values{"limit": {strconv.Itoa(listed)}}
	for name, x := range map[string]string{"search": q.Search, "status": string(q.Status), "group": q.Group, "sort": q.Sort} {
		if x != "" {
			v.Set(name, x)
		}
	}
	if q.Desc {
		v.Set("order", "desc")
	}
	if q.Sub {
		v.Set("scope", "sub")
	}
	address := "/api/v1/devices?" + v.Encode()
	cursors := make(map[*benched]string)
	return func(b *testing.B, f *benched) {
		if _, known := cursors[f]; next && !known {
			var p controlapi.DevicePage
			f.decode(b, address, &p)
			if cursors[f] = ""; p.Next != "" {
				cursors[f] = "&cursor=" + url.QueryEscape(p.Next)
			}
		}
		f.get(b, f.owner, address+cursors[f])
	}
}
