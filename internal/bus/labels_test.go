package bus_test

import (
	"fmt"
	"strings"
	"testing"

	"trunkline/internal/bus"
)

func TestCheckLabels(t *testing.T) {
	many := map[string]string{}
	for n := range bus.MaxLabels {
		many[fmt.Sprint("n", n)] = strings.Repeat("v", bus.MaxLabelValue)
	}
	for _, good := range []map[string]string{nil, {"rack": ""}, {"dc.zone-1_a": "Röhn 4"}, many} {
		if err := bus.CheckLabels(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []map[string]string{
		{"": "x"}, {"Rack": "x"}, {"-a": "x"}, {"a ": "x"}, {strings.Repeat("a", 64): "x"}, {"a": strings.Repeat("v", bus.MaxLabelValue+1)},
		{"a": "two\nlines"}, {"a": "\xff"}, {"a": "\u202e"},
	} {
		if bus.CheckLabels(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	many["one-more"] = "v"
	if bus.CheckLabels(many) == nil {
		t.Error("no bound of their number")
	}
}
