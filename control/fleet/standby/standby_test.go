package standby_test

import (
	"flag"
	"testing"

	"pgregory.net/rapid"

	"trunkline/control/fleet/standby"
	"trunkline/internal/id"
)

const (
	one, two   = id.Device("dev_1"), id.Device("dev_2")
	sn1, sn2   = id.Serial("SN-1"), id.Serial("SN-2")
	act, stand = "active", "standby"
)

func member(d id.Device, sn, peer id.Serial, kind, role string, claim uint64) standby.Member {
	return standby.Member{Device: d, Serial: sn, Facts: standby.Facts{Enabled: peer != "", Type: kind, Role: role, Peer: peer, Claim: claim}}
}

func TestBonds(t *testing.T) {
	a := member(one, sn1, sn2, "primary", act, 1)
	for _, c := range []struct {
		b    standby.Member
		want standby.Bond
	}{
		{member(two, sn2, sn1, "secondary", stand, 1), standby.Full},
		{member(two, sn2, "", "", "", 0), standby.Half},
		{member(two, sn2, "SN-3", "secondary", stand, 1), standby.None}, // it names another
		{member(two, "SN-9", sn1, "secondary", stand, 1), standby.None}, // a stranger that names us
		{member(two, sn1, sn1, "secondary", stand, 1), standby.None},    // itself
	} {
		if got, back := standby.BondOf(a, c.b), standby.BondOf(c.b, a); got != c.want || back != got {
			t.Errorf("%+v: %d and %d, want %d", c.b, got, back, c.want)
		}
	}
}

func TestFailover(t *testing.T) {
	p := func(role string, claim uint64) standby.Member { return member(one, sn1, sn2, "primary", role, claim) }
	s := func(role string, claim uint64) standby.Member { return member(two, sn2, sn1, "secondary", role, claim) }
	var st standby.State
	step := func(a, b standby.Member, active id.Device, epoch uint64, alarm string) {
		t.Helper()
		st = standby.Elect(st, a, b)
		if st.Active != active || st.Epoch != epoch || st.Alarm != alarm {
			t.Errorf("%+v, want %s in epoch %d, alarm %q", st, active, epoch, alarm)
		}
	}
	step(p(act, 10), s(stand, 10), one, 1, "")
	step(p(act, 10), s(stand, 10), one, 1, "")
	step(p(act, 10), s(act, 20), two, 2, standby.AlarmTwoActive) // the primary died, and cannot say so
	step(p(stand, 30), s(act, 20), two, 2, "")
	step(p(act, 15), s(act, 20), two, 2, standby.AlarmTwoActive) // a late claim
	step(p(act, 40), s(stand, 41), one, 3, "")                   // back
	step(p(stand, 50), s(stand, 41), one, 3, standby.AlarmNoneActive)
}

// Who names a PBX that names nobody is not believed: it would get its visitors.
func TestNobodyTakesAStrangersSite(t *testing.T) {
	alone := member(one, sn1, "", "", "", 0)
	intruder := member(two, sn2, sn1, "primary", act, 1<<60)
	for _, s := range []standby.State{standby.Elect(standby.State{}, alone, intruder), standby.Elect(standby.State{}, intruder, alone)} {
		if s.Active != one || s.Alarm != "" {
			t.Errorf("%+v", s)
		}
		named := member(one, sn1, sn2, "secondary", stand, 1)
		if s = standby.Elect(s, named, intruder); s.Active != two {
			t.Errorf("named back: %+v", s)
		}
	}
}

// often has rapid try thousands of times, which is cheap with pure functions,
// unless -rapid.checks says how often.
func often(t *testing.T) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	f := flag.Lookup("rapid.checks")
	if err := f.Value.Set("20000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
}

// Whatever two devices say: they are bound both ways or not at all, by each
// naming the other, or by one naming the other that is no pair's; and nobody is
// bound to itself, or to who names somebody else.
func TestBondsHold(t *testing.T) {
	often(t)
	rapid.Check(t, func(t *rapid.T) {
		serial := rapid.SampledFrom([]id.Serial{sn1, sn2, "SN-3", ""})
		draw := func(d id.Device) standby.Member {
			m := member(d, serial.Draw(t, "serial"), serial.Draw(t, "peer"), "primary", act, 1)
			m.Enabled = rapid.Bool().Draw(t, "enabled")
			return m
		}
		a, b := draw(one), draw(two)
		ab := a.Enabled && a.Peer == b.Serial && b.Serial != ""
		ba := b.Enabled && b.Peer == a.Serial && a.Serial != ""
		want := standby.None
		switch {
		case a.Serial == b.Serial:
		case ab && ba:
			want = standby.Full
		case ab && !b.Enabled, ba && !a.Enabled:
			want = standby.Half
		}
		if got, back := standby.BondOf(a, b), standby.BondOf(b, a); got != want || back != want {
			t.Fatalf("%+v and %+v: %d and %d, want %d", a, b, got, back, want)
		}
	})
}

// Whatever is said in whatever order, and however often: one serves, an epoch
// has one active, claims never fall, and repeating the last word changes
// nothing.
func TestElectHolds(t *testing.T) {
	often(t)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"primary", "secondary"})
		role := rapid.SampledFrom([]string{act, stand})
		claim := rapid.Uint64Range(0, 6)
		draw := func(d id.Device, sn, peer id.Serial) standby.Member {
			if rapid.IntRange(0, 9).Draw(t, "silent") == 0 {
				peer = ""
			}
			return member(d, sn, peer, kind.Draw(t, "type"), role.Draw(t, "role"), claim.Draw(t, "claim"))
		}
		a, b := draw(one, sn1, sn2), draw(two, sn2, sn1)
		var s standby.State
		actives := map[uint64]id.Device{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				a = draw(one, sn1, sn2)
			case 1:
				b = draw(two, sn2, sn1)
			}
			was := s
			s = standby.Elect(was, a, b)
			if other := standby.Elect(was, b, a); other != s && was.Active != "" {
				t.Fatalf("the order of the two means something: %+v and %+v", s, other)
			}
			if s.Active != one && s.Active != two {
				t.Fatalf("nobody serves: %+v", s)
			}
			if d, ok := actives[s.Epoch]; ok && d != s.Active {
				t.Fatalf("epoch %d has %s and %s", s.Epoch, d, s.Active)
			}
			actives[s.Epoch] = s.Active
			if s.Claim < was.Claim || s.Epoch < was.Epoch || s.Active != was.Active && s.Epoch != was.Epoch+1 {
				t.Fatalf("%+v, then %+v", was, s)
			}
			if was.Active != "" && s.Active != was.Active && s.Claim <= was.Claim {
				t.Fatalf("an older claim won: %+v, then %+v", was, s)
			}
			if again := standby.Elect(s, a, b); again != s {
				t.Fatalf("the same facts again: %+v, then %+v", s, again)
			}
		}
	})
}
