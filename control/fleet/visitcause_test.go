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

// entered is a technician's visit.
type entered struct {
	*world
	boss, tech fleet.Principal
	device     id.Device
	visit      id.Visit
}

func newEntered(t *testing.T) entered {
	t.Helper()
	w := newWorld(t)
	w.addUser("tech@example.com", fleet.RoleTechnician, false)
	x := entered{world: w, boss: w.signIn(owner), tech: w.signIn("tech@example.com")}
	x.device = w.activate(newPBX("SN-0001").request()).Device
	w.connect(x.device, 1)
	v, err := w.StartVisit(t.Context(), x.tech, fleet.VisitRequest{Device: x.device})
	if err != nil {
		t.Fatal(err)
	}
	x.visit = v.Visit.ID
	w.event(x.visit, "opened", nil)
	return x
}

// onRecord is what ended it there.
func (x entered) onRecord() fault.Code {
	x.Helper()
	page, err := x.Visits(x.Context(), x.boss, fleet.VisitQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Ended.IsZero() {
		x.Errorf("on record: %+v, %v", page.Items, err)
		return ""
	}
	return page.Items[0].EndCode
}

// cause is something that the provider does and that ends the visit.
type cause struct {
	name string
	code fault.Code
	end  func(entered) error
}

var causes = []cause{
	{"by staff", fault.EndedByStaff, func(x entered) error { return x.EndVisit(x.Context(), x.boss, x.visit) }},
	{"all of a person's", fault.EndedByStaff, func(x entered) error {
		_, err := x.EndVisitsOf(x.Context(), x.boss, x.tech.User)
		return err
	}},
	{"disabled", fault.AccessWithdrawn, func(x entered) error {
		_, err := x.EditUser(x.Context(), x.boss, x.tech.User, fleet.UserEdit{Disabled: ptr(true)})
		return err
	}},
	{"removed", fault.AccessWithdrawn, func(x entered) error { return x.RemoveUser(x.Context(), x.boss, x.tech.User, "") }},
	{"another role", fault.AccessWithdrawn, func(x entered) error {
		_, err := x.EditUser(x.Context(), x.boss, x.tech.User, fleet.UserEdit{Role: ptr(fleet.RoleAuditor)})
		return err
	}},
	{"a right less", fault.AccessWithdrawn, func(x entered) error {
		_, err := x.SetRoleRights(x.Context(), x.boss, fleet.RoleTechnician, fleet.Access{Default: fleet.See}, "")
		return err
	}},
}

// Each cause of a visit's end has its own code: on record, for the relays, and in
// the audit, by whoever decided.
func TestWhatEndedAVisit(t *testing.T) {
	f := func(name string, code fault.Code, actor string, end func(entered) error) {
		t.Run(name, func(t *testing.T) {
			x := newEntered(t)
			if err := end(x); err != nil {
				t.Fatal(err)
			}
			if got := x.onRecord(); got != code {
				t.Errorf("on record: %s, want %s", got, code)
			}
			log, err := x.Audit(t.Context(), x.boss, fleet.AuditQuery{Action: fleet.ActionVisitEnd, Search: string(x.visit)})
			if err != nil || len(log.Items) != 1 {
				t.Fatalf("audit: %+v, %v", log.Items, err)
			}
			if e := log.Items[0]; e.Actor != actor || !strings.Contains(e.Detail, string(code)) || !strings.Contains(e.Object, string(x.visit)) {
				t.Errorf("audit: %+v", e)
			}
			// What relays report themselves is theirs to know.
			if r, told := x.revocations()["visit."+string(x.visit)]; told && r.Code != code || told != (actor == owner) {
				t.Errorf("the relays are told %+v", r)
			}
		})
	}
	for _, c := range causes {
		f(c.name, c.code, owner, c.end)
	}
	f("the PBX removed", fault.DeviceRemoved, owner, func(x entered) error { return x.RemoveDevice(t.Context(), x.boss, x.device, "") })
	reported := func(code fault.Code) func(entered) error {
		return func(x entered) error {
			x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Code = code })
			return nil
		}
	}
	const who = "N <tech@example.com>"
	f("idle", fault.VisitIdle, who, reported(fault.VisitIdle))
	f("for a reason of a newer relay", "visit_ended_by_the_moon", who, reported("visit_ended_by_the_moon"))
	f("an older relay's report", fault.VisitEnded, who, reported(fault.VisitEnded))
	f("a report without a reason", fault.VisitEnded, who, reported(""))
	f("never reported", fault.VisitExpired, who, func(x entered) error {
		x.wait(token.VisitLife + time.Minute)
		_, err := x.SweepForTest(t.Context())
		return err
	})
}

// A relay that is cut off from another one may take a visit for idle that goes on
// there: what ends it ends it there too, and leaves what is on record.
func TestWhatSeemsIdleEndsToo(t *testing.T) {
	for _, c := range causes {
		t.Run(c.name, func(t *testing.T) {
			x := newEntered(t)
			x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Code = fault.VisitIdle })
			x.wait(time.Hour)
			if err := c.end(x); err != nil {
				t.Fatal(err)
			}
			if got := x.onRecord(); got != fault.VisitIdle {
				t.Errorf("on record: %s", got)
			}
			if r := x.revocations()["visit."+string(x.visit)]; r.Code != c.code {
				t.Errorf("the relays are told %+v", r)
			}
		})
	}
	x := newEntered(t)
	x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Code = fault.VisitIdle })
	if n, err := x.EndVisitsOf(t.Context(), x.boss, x.tech.User); n != 0 || err != nil {
		t.Errorf("%d were on, %v", n, err)
	}
	x = newEntered(t)
	x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Code = fault.VisitIdle })
	x.wait(token.VisitLife)
	if _, err := x.EditUser(t.Context(), x.boss, x.tech.User, fleet.UserEdit{Disabled: ptr(true)}); err != nil || len(x.revocations()) != 0 {
		t.Errorf("long over, the relays are told %v, %v", x.revocations(), err)
	}
}

// The word that a visit was opened may be late, or lost with its relay: who is out is
// out of that one too.
func TestWhatSeemsUnopenedEndsToo(t *testing.T) {
	for _, c := range causes[1:] { // of one, staff see that it is over
		t.Run(c.name, func(t *testing.T) {
			x := newEntered(t)
			v, err := x.StartVisit(t.Context(), x.tech, fleet.VisitRequest{Device: x.device})
			if err != nil {
				t.Fatal(err)
			}
			x.wait(10 * time.Minute)
			if _, err := x.SweepForTest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.end(x); err != nil {
				t.Fatal(err)
			}
			if r := x.revocations()["visit."+string(v.Visit.ID)]; r.Code != c.code {
				t.Errorf("the relays are told %+v", r)
			}
		})
	}
}

// Each relay at which somebody's end took effect reports it: the others have heard by the
// first one's.
func TestAnEndIsToldOnce(t *testing.T) {
	x := newEntered(t)
	end := func(relay id.Relay) bus.Revocation {
		x.event(x.visit, "ended", func(e *bus.VisitEvent) { e.Relay, e.Code = relay, fault.EndedByVisitor })
		return x.revocations()["visit."+string(x.visit)]
	}
	first := end("r1")
	x.wait(time.Second)
	if again := end("r2"); first.Code != fault.EndedByVisitor || !again.At.Equal(first.At) {
		t.Errorf("told %+v, then %+v", first, again)
	}
}

// A visit may be at a relay more than once, and each time counts from nothing. What is
// reported again, or late, counts once.
func TestEachTimeAtARelayCounts(t *testing.T) {
	x := newEntered(t)
	since := x.now()
	at := func(kind string, since time.Time, in int64) {
		x.event(x.visit, kind, func(e *bus.VisitEvent) {
			e.Relay, e.Since, e.Code = "r1", since, ""
			e.BytesIn, e.BytesOut, e.Requests = in, 2*in, 1
			if kind == "ended" {
				e.Code = fault.VisitIdle
			}
		})
	}
	at("traffic", time.Time{}, 1) // by a relay of before
	at("traffic", since, 100)
	at("traffic", since, 60)
	page, err := x.Visits(t.Context(), x.boss, fleet.VisitQuery{Live: true})
	if err != nil || len(page.Items) != 1 || page.Items[0].BytesIn != 101 {
		t.Errorf("while it goes on: %+v, %v", page.Items, err)
	}
	at("ended", since.Add(time.Hour), 40)
	at("traffic", since, 110)
	page, err = x.Visits(t.Context(), x.boss, fleet.VisitQuery{})
	if err != nil || len(page.Items) != 1 || page.Items[0].BytesIn != 151 || page.Items[0].BytesOut != 302 || page.Items[0].EndCode != fault.VisitIdle {
		t.Errorf("after its end: %+v, %v", page.Items, err)
	}
}
