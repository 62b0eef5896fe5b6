package pbxsim_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

// Both show what they are, on their pages and in their files.
func TestPair(t *testing.T) {
	type facts struct {
		Enabled          bool
		Type, Role, Peer string
	}
	dir := t.TempDir()
	member := func(serial string) *pbxsim.Portal {
		return start(t, pbxsim.Config{Serial: serial, FactsFile: filepath.Join(dir, serial)})
	}
	one, two := member("SN-0001"), member("SN-0002")
	if one.Part() != "" {
		t.Errorf("alone it is %q", one.Part())
	}
	pair, err := pbxsim.NewPair(one, two)
	if err != nil {
		t.Fatal(err)
	}
	is := func(p *pbxsim.Portal, serial, peer, kind, role string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, serial))
		if err != nil {
			t.Fatal(err)
		}
		var got facts
		if err := json.Unmarshal(b, &got); err != nil || got != (facts{true, kind, role, peer}) {
			t.Errorf("%s: %s, %v", serial, b, err)
		}
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", p.URL()+"/login", nil)
		p.Handler().ServeHTTP(rec, r)
		if want := kind + " server, " + role; !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s does not show %q", serial, want)
		}
	}
	both := func(first, second string) {
		t.Helper()
		is(one, "SN-0001", "SN-0002", "primary", first)
		is(two, "SN-0002", "SN-0001", "secondary", second)
	}
	both("active", "standby")
	if err := pair.Failover(); err != nil {
		t.Fatal(err)
	}
	both("standby", "active")
	if err := pair.TakeOver(); err != nil {
		t.Fatal(err)
	}
	both("active", "active")
}
