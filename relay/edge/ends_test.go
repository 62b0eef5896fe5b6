package edge_test

import (
	"bufio"
	"strings"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/relay/edge"
)

// The tab of a visit that is over says why, whatever ended it.
func TestATabSaysWhatEndedItsVisit(t *testing.T) {
	var code fault.Code
	w := newWorld(t, "", func(o *edge.Options) {
		o.Admit = func(string, id.Site, edge.Activity, uint64) (edge.Guest, error) {
			return edge.Guest{}, fault.Over(code)
		}
	})
	seen := map[string]fault.Code{}
	for _, code = range fault.Endings() {
		c := w.raw(site)
		resp, page := asks(t, c, bufio.NewReader(c), visitor("GET /", "Accept: text/html\r\n"))
		if resp.StatusCode != fault.Status(code) || !strings.Contains(page, string(code)) || strings.Contains(page, "This did not work") {
			t.Errorf("%s: %d\n%s", code, resp.StatusCode, page)
		}
		said := fault.Over(code).Message
		if twin, twice := seen[said]; twice {
			t.Errorf("%s says the same as %s", code, twin)
		}
		seen[said] = code
	}
}
