package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/control/store"
)

// Many devices are walked in their order on an index, without being sorted,
// and no count starts by reading them all.
func TestListsAreReadFromIndexes(t *testing.T) {
	s, _ := seeded(t, 20, 2)
	var root fleet.Account
	if err := s.View(t.Context(), func(tx fleet.Tx) (err error) { root, err = tx.Root(); return err }); err != nil {
		t.Fatal(err)
	}
	everything := fleet.GroupFilter{Except: true}
	for _, sort := range []string{fleet.SortName, fleet.SortSince, fleet.SortSerial} {
		for _, q := range []fleet.DeviceQuery{
			{}, {Desc: true}, {Status: fleet.StatusConnected}, {Group: "grp_x"}, {Group: fleet.GroupNone}, {Status: fleet.StatusConnected, Group: "grp_x"},
			{Sub: true}, {Sub: true, Status: fleet.StatusConnected}, {Sub: true, Account: root.ID},
		} {
			q.Sort, q.Limit, q.Seen = sort, 50, everything
			t.Run(fmt.Sprintf("%+v", q), func(t *testing.T) {
				walk, count := store.Plans(t, s, root.ID, q)
				if strings.Contains(walk, "TEMP B-TREE") {
					t.Errorf("sorts:\n%s", walk)
				}
				if !strings.Contains(count, "SEARCH d USING") {
					t.Errorf("counts by reading all:\n%s", count)
				}
			})
		}
	}
	// What a search's index finds is not looked for on another one; what it
	// leaves to be walked is read from the order's index alone.
	for _, q := range []fleet.DeviceQuery{{}, {Desc: true}, {Sub: true}} {
		q.Search, q.Limit, q.Seen = "000001", 50, everything
		found, begin, other, stream := store.SearchPlans(t, s, root.ID, q)
		index := "SEARCH d USING COVERING INDEX devices_name (account=?"
		if q.Sub {
			index = "d USING COVERING INDEX devices_all"
		}
		if !strings.Contains(found, "SEARCH d USING INDEX devices_place (place=?)") {
			t.Errorf("%+v: searches:\n%s", q, found)
		}
		if !strings.Contains(begin, index) || !strings.Contains(begin, "sort_name>?") || strings.Contains(begin, "TEMP B-TREE") {
			t.Errorf("%+v: looks where names begin:\n%s", q, begin)
		}
		if !strings.Contains(other, index) || strings.Contains(other, "TEMP B-TREE") {
			t.Errorf("%+v: walks:\n%s", q, other)
		}
		if !strings.Contains(stream, "SCAN s VIRTUAL TABLE") || !strings.Contains(stream, "SEARCH d USING INDEX devices_place (place=?)") || strings.Contains(stream, "TEMP B-TREE") {
			t.Errorf("%+v: streams:\n%s", q, stream)
		}
	}
}

// Visits are gone through in their order, on the index that finds least.
func TestVisitsAreReadFromIndexes(t *testing.T) {
	s, _ := seeded(t, 20, 2)
	for index, q := range map[string]fleet.VisitQuery{
		"visits_live_account (account=?)":       {Live: true},
		"visits_started (account=?)":            {Ended: true},
		"visits_user (account=? AND user_id=?)": {Ended: true, User: "usr_x"},
		"visits_device (device=?)":              {Ended: true, Device: "dev_x"},
	} {
		q.Limit = 50
		walk, count := store.VisitPlans(t, s, "acc_x", q)
		if !strings.Contains(walk, index) || strings.Contains(walk, "TEMP B-TREE") {
			t.Errorf("%+v: want %s, and nothing sorted:\n%s", q, index, walk)
		}
		if !strings.Contains(count, "SEARCH v USING") {
			t.Errorf("%+v: counts by reading all:\n%s", q, count)
		}
	}
}

// Each list of audit entries is gone through on the index of what it asks for, in
// its order.
func TestAuditIsReadFromIndexes(t *testing.T) {
	s, _ := seeded(t, 20, 2)
	from := time.Now()
	for index, q := range map[string]fleet.AuditQuery{
		"audit_account (account=? AND seq>? AND seq<?)":               {From: from},
		"audit_action (account=? AND action=? AND seq>? AND seq<?)":   {Action: "x", From: from},
		"audit_actor (account=? AND actor=? AND seq>? AND seq<?)":     {Actor: "x", From: from},
		"audit_outcome (account=? AND outcome=? AND seq>? AND seq<?)": {Outcome: "x", To: from},
		"audit_refused (account=? AND seq>? AND seq<?)":               {Outcome: fleet.OutcomeRefused},
	} {
		if plan := store.AuditPlan(t, s, "acc_x", q); !strings.Contains(strings.ReplaceAll(plan, "rowid", "seq"), "USING INDEX "+index) {
			t.Errorf("%+v: want %s:\n%s", q, index, plan)
		}
	}
}
