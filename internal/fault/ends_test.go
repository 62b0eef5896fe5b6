package fault_test

import (
	"slices"
	"testing"

	"trunkline/internal/fault"
)

// What ended a visit has words, and a page that answers as a visit that is over.
func TestEndings(t *testing.T) {
	for _, c := range fault.Endings() {
		if fault.Ending(c) == "" || fault.Ending(c) == string(c) {
			t.Errorf("%s has no words", c)
		}
		if f := fault.Over(c); f.Code != c || f.Message == "" {
			t.Errorf("%s: %+v", c, f)
		}
		if s := fault.Status(c); s != 401 && s != 410 {
			t.Errorf("%s: status %d", c, s)
		}
	}
	for _, c := range []fault.Code{fault.LoginFailed, "visit_ended_by_the_moon", ""} {
		if f := fault.Over(c); f.Code != fault.VisitEnded || f.Message == "" {
			t.Errorf("%q: %+v", c, f)
		}
		if slices.Contains(fault.Endings(), c) {
			t.Errorf("%q is an ending", c)
		}
	}
	if got := fault.Ending("visit_ended_by_the_moon"); got != "visit_ended_by_the_moon" {
		t.Errorf("of a newer version: %q", got)
	}
	if got := fault.Ending(""); got != "" {
		t.Errorf("of a visit that is on: %q", got)
	}
}
