package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/control/api"
	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

func from(w *world, address, method, target, body, bearer string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = address
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

func TestUsersLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, api.Limits{User: 60})
		get := func() *httptest.ResponseRecorder { return w.do("GET", "/api/v1/subscription", "") }
		for i := range 60 {
			rec := get()
			want := fmt.Sprintf(`"user";r=%d;t=%d`, 59-i, i+1)
			if h := rec.Header(); rec.Code != 200 || h.Get("RateLimit") != want || h.Get("RateLimit-Policy") != `"user";q=60;w=60` {
				t.Fatalf("%d: %d %v", i, rec.Code, h)
			}
		}
		rec := get()
		if p := problem(t, rec); p.Code != fault.TooMany || rec.Header().Get("Retry-After") != "1" || rec.Header().Get("RateLimit") != `"user";r=0;t=60` {
			t.Fatalf("%+v %v", p, rec.Header())
		}
		// A token of the same person has a bucket of its own.
		by := anna
		by.Token, by.Scopes = aToken, fleet.Scopes()
		w.fleet.who = &by
		if rec := get(); rec.Code != 200 {
			t.Fatal(rec.Code)
		}
		w.fleet.who = nil
		time.Sleep(time.Second)
		if rec := get(); rec.Code != 200 {
			t.Error("no token after a second")
		}
		if rec := get(); rec.Code != 429 {
			t.Error("two tokens after a second")
		}
		time.Sleep(5 * time.Minute)
		for i := range 61 {
			if rec := get(); (rec.Code == 200) != (i < 60) {
				t.Fatalf("%d after a pause: %d", i, rec.Code)
			}
		}
	})
}

// A storm of PBXs behind one address is served while a stranger there has
// long run dry, and whoever is signed in there notices neither.
func TestStrangersAndAgents(t *testing.T) {
	w := newWorld(t, api.Limits{User: 100, Address: 3, Agents: 1000})
	renewal := fmt.Sprintf(`{"device":%q,"nonce":%q,"proof":%q}`, aDevice, b64(16), b64(64))
	for i := range 500 {
		if rec := from(w, "192.0.2.1:1", "POST", "/api/v1/passes", renewal, ""); rec.Code != 200 {
			t.Fatalf("renewal %d: %d", i, rec.Code)
		}
	}
	var codes []int
	for range 5 {
		codes = append(codes, from(w, "192.0.2.1:1", "GET", "/api/v1/devices", "", "guess").Code)
	}
	if fmt.Sprint(codes) != "[401 401 401 429 429]" {
		t.Errorf("guesses of tokens: %v", codes)
	}
	if rec := from(w, "192.0.2.1:2", "POST", "/api/v1/sessions", `{"email":"a@example.com","password":"x"}`, ""); rec.Code != 429 {
		t.Errorf("sign-in from there: %d", rec.Code)
	}
	if rec := from(w, "192.0.2.1:3", "GET", "/api/v1/devices", "", goodToken); rec.Code != 200 {
		t.Errorf("a person from there: %d", rec.Code)
	}
	if rec := from(w, "192.0.2.2:3", "GET", "/api/v1/devices", "", "guess"); rec.Code != 401 {
		t.Errorf("from elsewhere: %d", rec.Code)
	}
}

// Whoever has a /64 has one bucket.
func TestOnePartyHasOneBucket(t *testing.T) {
	w := newWorld(t, api.Limits{Address: 1})
	for _, tt := range []struct {
		address string
		want    int
	}{{"[2001:db8::1]:1", 401}, {"[2001:db8::2]:1", 429}, {"[2001:db8:0:1::1]:1", 401}, {"192.0.2.9:1", 401}, {"[::ffff:192.0.2.9]:1", 429}} {
		if rec := from(w, tt.address, "GET", "/api/v1/devices", "", "guess"); rec.Code != tt.want {
			t.Errorf("%s: %d", tt.address, rec.Code)
		}
	}
}

func TestNoLimits(t *testing.T) {
	w := newWorld(t)
	for range 100 {
		if rec := w.do("GET", "/api/v1/subscription", ""); rec.Code != 200 || rec.Header().Get("RateLimit") != "" {
			t.Fatal(rec.Code, rec.Header())
		}
	}
	if err := (api.Limits{User: -1}).Validate(); err == nil || !strings.Contains(err.Error(), "user") {
		t.Error(err)
	}
	if err := api.DefaultLimits().Validate(); err != nil {
		t.Error(err)
	}
}
