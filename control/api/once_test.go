package api_test

import (
	"errors"
	"strings"
	"testing"

	"trunkline/internal/fault"
)

const newGroup = `{"name":"Branches"}`

func TestAnswerIsKeptAndReplayed(t *testing.T) {
	w := newWorld(t)
	first := w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", `"k-1"`)
	if first.Code != 201 || w.fleet.kept == nil || first.Header().Get("Idempotency-Replayed") != "" {
		t.Fatal(first.Code, first.Header())
	}
	if asked := w.fleet.claims["k-1"]; asked != "POST\x00/api/v1/groups\x00"+newGroup {
		t.Errorf("claimed for %q", asked)
	}
	w.fleet.asked = nil
	again := w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", "k-1") // bare: the same key
	if again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("ETag") != first.Header().Get("ETag") ||
		again.Header().Get("Idempotency-Replayed") != "true" || w.fleet.last() != nil {
		t.Errorf("%d %v %s; fleet was asked %v", again.Code, again.Header(), again.Body, w.fleet.last())
	}
}

// What was refused may be sent again; what failed halfway may not, for a while.
func TestClaimsOfRequestsThatFail(t *testing.T) {
	w := newWorld(t)
	w.fleet.err = fault.New(fault.Taken, "There is one.")
	if rec := w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", "k"); rec.Code != 409 || w.fleet.dropped != 1 || w.fleet.kept != nil {
		t.Error(rec.Code, w.fleet.dropped)
	}
	w.fleet.err = errors.New("half of it was written")
	if rec := w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", "k"); rec.Code != 500 || w.fleet.dropped != 1 || w.fleet.kept != nil {
		t.Error(rec.Code, w.fleet.dropped)
	}
	w.fleet.err, w.fleet.asked, w.fleet.claimErr = nil, nil, fault.New(fault.InProgress, "Wait.").After(1e9)
	rec := w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", "k")
	if p := problem(t, rec); p.Code != fault.InProgress || rec.Header().Get("Retry-After") != "1" || w.fleet.last() != nil {
		t.Errorf("%+v", p)
	}
}

func TestMalformedKeys(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{`""`, `"open`, `a b`, `"a" "b"`, "\x7f", "käse", strings.Repeat("x", 256), `a\b`} {
		p := problem(t, w.do("POST", "/api/v1/groups", newGroup, "Idempotency-Key", key))
		if p.Code != fault.Invalid || p.Field != "Idempotency-Key" || w.fleet.last() != nil {
			t.Errorf("%q: %+v", key, p)
		}
	}
}

// A key on what creates nothing is nobody's business.
func TestKeyWhereNoneIsNeeded(t *testing.T) {
	w := newWorld(t)
	if rec := w.do("GET", "/api/v1/groups", "", "Idempotency-Key", "k"); rec.Code != 200 || w.fleet.claims != nil {
		t.Error(rec.Code)
	}
}
