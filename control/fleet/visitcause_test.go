package fleet_test

import (
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// Each cause of a visit's end has its own code: on record, for the relays, and in
// the audit, by whoever decided.
func TestWhatEndedAVisit(t *testing.T) {
	type at struct {
		*world
		boss, tech fleet.Principal
		device     id.Device
		visit      id.Visit
	}
	f := func(name string, code fault.Code, actor string, end func(at) error) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.addUser("tech@example.com", fleet.RoleTechnician, false)
			x := at{world: w, boss: w.signIn(owner), tech: w.signIn("tech@example.com")}
			x.device = w.activate(newPBX("SN-0001").request()).Device
			w.connect(x.device, 1)
			v, err := w.StartVisit(t.Context(), x.tech, fleet.VisitRequest{Device: x.device})
			if err != nil {
				t.Fatal(err)
			}
			x.visit = v.Visit.ID
			w.event(x.visit, "opened", nil)
			if err := end(x); err != nil {
				t.Fatal(err)
			}
			page, err := w.Visits(t.Context(), x.boss, fleet.VisitQuery{})
			if err != nil || len(page.Items) != 1 || page.Items[0].EndCode != code || page.Items[0].Ended.IsZero() {
				t.Errorf("on record: %+v, %v", page.Items, err)
			}
			log, err := w.Audit(t.Context(), x.boss, fleet.AuditQuery{Action: fleet.ActionVisitEnd, Search: string(x.visit)})
			if err != nil || len(log.Items) != 1 {
				t.Fatalf("audit: %+v, %v", log.Items, err)
			}
			if e := log.Items[0]; e.Actor != actor || !strings.Contains(e.Detail, string(code)) || !strings.Contains(e.Object, string(x.visit)) {
				t.Errorf("audit: %+v", e)
			}
			// What relays report themselves is theirs to know.
			if r, told := w.revocations()["visit."+string(x.visit)]; told && r.Code != code || told != (actor == owner) {
				t.Errorf("the relays are told %+v", r)
			}
		})
	}
	f("by staff", fault.EndedByStaff, owner, func(x at) error { return x.EndVisit(t.Context(), x.boss, x.visit) })
	f("all of a person's", fault.EndedByStaff, owner, func(x at) error {
		_, err := x.EndVisitsOf(t.Context(), x.boss, x.tech.User)
		return err
	})
	f("disabled", fault.AccessWithdrawn, owner, func(x at) error {
		_, err := x.EditUser(t.Context(), x.boss, x.tech.User, fleet.UserEdit{Disabled: ptr(true)})
		return err
	})
	f("removed", fault.AccessWithdrawn, owner, func(x at) error { return x.RemoveUser(t.Context(), x.boss, x.tech.User, "") })
	f("another role", fault.AccessWithdrawn, owner, func(x at) error {
		_, err := x.EditUser(t.Context(), x.boss, x.tech.User, fleet.UserEdit{Role: ptr(fleet.RoleAuditor)})
		return err
	})
	f("a right less", fault.AccessWithdrawn, owner, func(x at) error {
		_, err := x.SetRoleRights(t.Context(), x.boss, fleet.RoleTechnician, fleet.Access{Default: fleet.See}, "")
		return err
	})
	f("the PBX removed", fault.DeviceRemoved, owner, func(x at) error { return x.RemoveDevice(t.Context(), x.boss, x.device, "") })
	reported := func(code fault.Code) func(at) error {
		return func(x at) error {
			x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Code = code })
			return nil
		}
	}
	const who = "N <tech@example.com>"
	f("idle", fault.VisitIdle, who, reported(fault.VisitIdle))
	f("for a reason of a newer relay", "visit_ended_by_the_moon", who, reported("visit_ended_by_the_moon"))
	f("an older relay's report", fault.VisitEnded, who, reported(fault.VisitEnded))
	f("a report without a reason", fault.VisitEnded, who, reported(""))
	f("never reported", fault.VisitExpired, who, func(x at) error {
		x.wait(token.VisitLife + time.Minute)
		_, err := x.SweepForTest(t.Context())
		return err
	})
}
