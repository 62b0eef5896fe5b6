package fleet_test

import (
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/token"
)

func TestAcceptModel(t *testing.T) {
	for _, c := range []struct {
		model, firmware string
		others          bool
		want            fault.Code
	}{
		{"P-Series Appliance Edition", "37.19.0.110", false, ""},
		{"p-series appliance edition", "37.19.0.111", false, ""},
		{"P-Series Appliance Edition", "37.19.1", false, ""},
		{"P-Series Appliance Edition", "38", false, ""},
		{"P-Series Appliance Edition", "37.19.0.110.0", false, ""},
		{"P-Series Appliance Edition", "37.19.0.109", false, fault.FirmwareOld},
		{"P-Series Appliance Edition", "37.19", false, fault.FirmwareOld},
		{"P-Series Appliance Edition", "37.9.0.999", false, fault.FirmwareOld},
		{"P-Series Appliance Edition", "37.19.0.110-beta", false, fault.FirmwareOld},
		{"P-Series Appliance Edition", "-1", true, fault.FirmwareOld},
		{"P-Series Software Edition", "83.19.0.110", false, ""},
		{"P-Series Software Edition", "37.19.0.110", false, fault.FirmwareOld},
		{"P-Series Cloud Edition", "99", false, fault.ModelRefused},
		{"P-Series Cloud Edition", "anything", true, ""},
	} {
		_, err := fleet.AcceptModel(fleet.DefaultModels(), c.others, c.model, c.firmware)
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s %s: %v, want %q", c.model, c.firmware, err, c.want)
		}
	}
}

func FuzzParseFirmware(f *testing.F) {
	for _, s := range []string{"37.19.0.110", "", ".", "1..2", "99999999999", "+1", "1.2.3.4.5.6.7.8.9", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, ok := fleet.ParseFirmware(s)
		if !ok && parts != nil || len(parts) > 8 {
			t.Errorf("%q: %v, %v", s, parts, ok)
		}
		for _, p := range parts {
			if p < 0 {
				t.Errorf("%q: %v", s, parts)
			}
		}
	})
}

// Whatever the clock does, a pass issued after a void moment is after it, and
// the void moment covers the newest pass.
func TestPassTimes(t *testing.T) {
	issued, void := fleet.NextIssued(start, time.Time{}), time.Time{}
	for _, step := range []time.Duration{0, time.Millisecond, time.Second, -time.Hour, 0, 2 * time.Hour} {
		now := start.Add(step)
		void = fleet.VoidAt(now, issued)
		next := fleet.NextIssued(now, void)
		if issued.After(void) || !next.After(void) || next.Nanosecond() != 0 {
			t.Errorf("step %v: issued %v, void %v, next %v", step, issued, void, next)
		}
		issued = fleet.NextIssued(now, void)
	}
	if got := fleet.NextIssued(start.Add(time.Hour), void.Add(-24*time.Hour)); !got.Equal(start.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("long after a void moment: %v", got)
	}
}

func TestSigner(t *testing.T) {
	key := func(name string, age time.Duration) token.SigningKey {
		k := token.NewSigningKey(start.Add(-age))
		k.ID = name
		return k
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		keys []token.SigningKey
		want string
	}{
		{nil, ""},
		{[]token.SigningKey{key("only", 0)}, "only"},
		{[]token.SigningKey{key("old", 7*day), key("new", fleet.KeyAhead-1)}, "old"},
		{[]token.SigningKey{key("old", 7*day), key("new", fleet.KeyAhead)}, "new"},
		{[]token.SigningKey{key("new", time.Hour), key("old", 7*day)}, "new"},
		{[]token.SigningKey{key("outlived", 8*day), key("new", 0)}, "new"},
	} {
		if got := fleet.Signer(c.keys, start); got != c.want {
			t.Errorf("%v signs, want %v", got, c.want)
		}
	}
}

// Over a month in which control runs as it should, every pass holds for its
// whole life, at relays that know what was published a minute before.
func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	box := newPBX("SN-0001")
	g := w.activate(box.request())
	used := map[string]bool{}
	for range 30 * 24 {
		w.wait(time.Hour)
		if err := w.RotateForTest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !w.admits(g) {
			t.Fatal("a pass does not hold")
		}
		if len(w.pass) > 2 || len(w.seal) > 2 || len(w.pass) == 0 || len(w.seal) == 0 {
			t.Fatalf("%d pass keys, %d seal keys", len(w.pass), len(w.seal))
		}
		for k := range w.pass {
			used[k] = true
		}
		if g.Expires.Sub(w.now()) < time.Hour {
			var err error
			if g, err = w.RenewPass(t.Context(), box.renewal(g.Device)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(used) != 5 {
		t.Errorf("%d keys in 30 days", len(used))
	}
	before := len(w.pass)
	w.restart()
	if err := w.RotateForTest(t.Context()); err != nil || len(w.pass) != before || !w.admits(g) {
		t.Errorf("restart made keys: %d, was %d, %v", len(w.pass), before, err)
	}
}
