package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// scopes of every operation, as the document has them.
func scopes(t *testing.T, w *world) map[string]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Scope string `json:"x-scope"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.do("GET", "/api/v1/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Scope != "" {
				out[strings.ToUpper(method)+" "+filled(path)] = op.Scope
			}
		}
	}
	return out
}

// An API token passes with the scope that the row names, and with no other.
// Whoever may not pass is told before anything of the request is looked at.
func TestScopes(t *testing.T) {
	w := newWorld(t)
	by := anna
	by.Session, by.Token = "", aToken
	w.fleet.who = &by
	var used []string
	for target, scope := range scopes(t, w) {
		method, path, _ := strings.Cut(target, " ")
		used = append(used, scope)
		for _, given := range append(fleet.Scopes(), "") {
			w.fleet.asked, by.Scopes = nil, []string{given}
			rec := w.do(method, path+"?nonsense=1", "")
			p := problem(t, rec)
			if may := scope == given || scope == "any token"; may != (p.Code == fault.Invalid) || !may && p.Code != fault.Scope {
				t.Errorf("%s with %q: %+v", target, given, p)
			}
			challenge := rec.Header().Get("WWW-Authenticate")
			if want := `Bearer realm="trunkline", error="insufficient_scope", scope="` + scope + `"`; p.Code == fault.Scope && scope != "session only" && challenge != want {
				t.Errorf("%s: WWW-Authenticate %q", target, challenge)
			}
			if w.fleet.asked != nil {
				t.Errorf("%s reached fleet", target)
			}
		}
	}
	for _, s := range fleet.Scopes() {
		if !slices.Contains(used, s) {
			t.Errorf("nothing needs %s", s)
		}
	}
}

// Reading needs a scope that reads, and changing one that writes.
func TestScopesFitTheirMethods(t *testing.T) {
	w := newWorld(t)
	for target, scope := range scopes(t, w) {
		reads := strings.HasPrefix(target, "GET ")
		if strings.HasSuffix(scope, ":read") && !reads || strings.HasSuffix(scope, ":write") && reads {
			t.Errorf("%s needs %s", target, scope)
		}
	}
}
