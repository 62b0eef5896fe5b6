package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// The bounds that the document states are those that hold: what is at one is
// taken, or refused for another reason; what is beyond is refused by the
// field's name. Letters of several bytes count once.
func TestStatedBoundsHold(t *testing.T) {
	w := newRealWorld(t)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/openapi.json", nil))
	var doc map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	stated := func(schema, field, bound string) int {
		t.Helper()
		n, ok := at(doc, "components", "schemas", schema, "properties", field, bound).(float64)
		if !ok {
			t.Fatalf("%s.%s states no %s", schema, field, bound)
		}
		return int(n)
	}
	c := w.client(t)
	s, err := c.SignIn(t.Context(), "anna@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken(s.Token)
	send := func(method, path string, body any) (refused fault.Code, field string) {
		t.Helper()
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(string(b)))
		r.Header.Set("Authorization", "Bearer "+s.Token)
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code < http.StatusBadRequest {
			return "", ""
		}
		var p fault.Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return p.Code, p.Field
	}
	// with sends a body whose member field has n, as try makes it.
	f := func(schema, field string, n int, within bool, try func(n int) (fault.Code, string)) {
		t.Helper()
		code, at := try(n)
		if beyond := code == fault.Invalid && at == field; beyond == within {
			t.Errorf("%s.%s of %d: %q %q", schema, field, n, code, at)
		}
	}
	both := func(schema, field string, bound string, try func(n int) (fault.Code, string)) {
		t.Helper()
		n, step := stated(schema, field, bound), 1
		if strings.HasPrefix(bound, "min") {
			step = -1
		}
		f(schema, field, n, true, try)
		f(schema, field, n+step, false, try)
	}
	long := func(n int) string { return strings.Repeat("é", n) }

	both("SignInRequest", "password", "maxLength", func(n int) (fault.Code, string) {
		return send("POST", "/sessions", map[string]any{"email": "anna@example.com", "password": long(n)})
	})
	both("PasswordChange", "old", "maxLength", func(n int) (fault.Code, string) {
		return send("PUT", "/me/password", map[string]any{"old": long(n), "new": password})
	})
	present := password
	change := func(n int) (fault.Code, string) {
		code, field := send("PUT", "/me/password", map[string]any{"old": present, "new": long(n)})
		if code == "" {
			present = long(n)
		}
		return code, field
	}
	both("PasswordChange", "new", "maxLength", change)
	both("PasswordChange", "new", "minLength", change)
	invited := 0
	accept := func(n int) (fault.Code, string) {
		invited++
		i, err := c.InviteUser(t.Context(), controlapi.NewUser{Email: strings.Repeat("x", invited) + "@example.com", Name: "X", Role: "auditor"})
		if err != nil {
			t.Fatal(err)
		}
		return send("POST", "/invitations/"+i.Token+"/acceptance", map[string]any{"password": long(n)})
	}
	both("Acceptance", "password", "maxLength", accept)
	both("Acceptance", "password", "minLength", accept)
	both("NewReseller", "connections", "maximum", func(n int) (fault.Code, string) {
		return send("POST", "/resellers", map[string]any{"name": "R", "connections": n, "email": "r@example.com", "person": "R"})
	})
	r, err := c.AddReseller(t.Context(), controlapi.NewReseller{Name: "Q", Email: "q@example.com", Person: "Q"})
	if err != nil {
		t.Fatal(err)
	}
	both("ResellerEdit", "connections", "maximum", func(n int) (fault.Code, string) {
		return send("PATCH", "/resellers/"+string(r.Reseller.ID), map[string]any{"connections": n})
	})
	if n := stated("ActivationRequest", "password", "maxLength"); n != fleet.MaxPassword {
		t.Errorf("an activation's password: %d", n)
	}
}

// A right that no group can have is refused by the name of its place, and not
// left out.
func TestNoGroupsRightToManagePeople(t *testing.T) {
	w := newWorld(t)
	rec := w.do("PUT", "/api/v1/roles/technician", `{"default":["see"],"groups":[{"group":"`+string(aGroup)+`","rights":["see","manage_people"]}]}`)
	if p := problem(t, rec); p.Code != fault.Invalid || p.Field != "groups[0].rights[1]" {
		t.Errorf("%d %+v", rec.Code, p)
	}
}
