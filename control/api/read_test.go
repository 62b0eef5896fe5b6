package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// with is the good activation with one member replaced, or dropped if value is "".
func with(name, value string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(activation), &m); err != nil {
		panic(err)
	}
	if m[name] = json.RawMessage(value); value == "" {
		delete(m, name)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestBodiesRefused(t *testing.T) {
	tests := []struct{ name, body, field, says string }{
		{"no JSON", `serial=1`, "", "not JSON"},
		{"no object", `["serial"]`, "", "Need a JSON object"},
		{"null", `null`, "", "Need a JSON object"},
		{"cut off", activation[:40], "", "ends before"},
		{"cut off before a value", `{"serial":`, "", "ends before"},
		{"two objects", activation + `{}`, "", "follows"},
		{"garbage behind", activation + `x`, "", "follows"},
		{"not UTF-8", strings.Replace(activation, "anna", "ann\xff", 1), "", "not UTF-8"},
		{"a member twice", strings.Replace(activation, `{`, `{"email":"x@example.com",`, 1), "email", "given twice"},
		{"serial missing", with("serial", ""), "serial", "missing"},
		{"serial null", with("serial", "null"), "serial", "missing"},
		{"serial a number", with("serial", "1234"), "serial", "need a string"},
		{"serial too short", with("serial", `"abc"`), "serial", "4 to 32"},
		{"serial with a path", with("serial", `"../../etc"`), "serial", "only letters"},
		{"the case of a name", strings.Replace(activation, `"serial"`, `"Serial"`, 1), "serial", "missing"},
		{"model empty", with("model", `""`), "model", "must not be empty"},
		{"model too long", with("model", `"`+strings.Repeat("x", 101)+`"`), "model", "at most 100"},
		{"model with an escape", with("model", `"P550\u001b[31m"`), "model", "control characters"},
		{"firmware an object", with("firmware", `{}`), "firmware", "need a string"},
		{"key no base64", with("public_key", `"%%%"`), "public_key", "base64"},
		{"key too short", with("public_key", `"AAAA"`), "public_key", "need 32 bytes"},
		{"key an array", with("public_key", `[1,2,3]`), "public_key", "base64"},
		{"proof missing", with("proof", ""), "proof", "missing"},
		{"pair a string", with("hot_standby", `"yes"`), "hot_standby", "Need a JSON object"},
		{"pair without type", with("hot_standby", `{"role":"active"}`), "hot_standby.type", "missing"},
		{"pair's role unheard of", with("hot_standby", `{"type":"primary","role":"king"}`), "hot_standby.role", "need one of active, standby"},
		{"pair's peer malformed", with("hot_standby", `{"type":"primary","role":"active","peer":"?"}`), "hot_standby.peer", "4 to 32"},
		{"e-mail of two lines", with("email", `"a@example.com\nBcc: b@example.com"`), "email", "control characters"},
		{"password too long", with("password", `"`+strings.Repeat("x", 257)+`"`), "password", "at most 256"},
		{"code too long", with("code", `"`+strings.Repeat("A", 65)+`"`), "code", "at most 64"},
		{"code a number", with("code", "1234"), "code", "need a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := problem(t, w.do("POST", "/api/v1/activations", tt.body))
			if p.Code != fault.Invalid || p.Field != tt.field || !strings.Contains(p.Detail, tt.says) {
				t.Fatalf("%+v", p)
			}
			if w.fleet.last() != nil {
				t.Fatal("it reached fleet")
			}
			if strings.Contains(p.Detail, "Go ") || strings.Contains(p.Detail, "json:") {
				t.Fatalf("our insides: %s", p.Detail)
			}
		})
	}
}

// An agent that is newer than control may say more; a person's script that
// misspells a member is told.
func TestUnknownMembers(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{with("battery", `{"level":7}`), strings.Replace(activation, `"type"`, `"sync":1,"type"`, 1)} {
		if rec := w.do("POST", "/api/v1/activations", body); rec.Code != 200 {
			t.Errorf("%s", rec.Body)
		}
	}
	p := problem(t, w.do("POST", "/api/v1/visits", fmt.Sprintf(`{"device":%q,"methode":"account"}`, aDevice)))
	if p.Code != fault.Invalid || p.Field != "methode" {
		t.Errorf("%+v", p)
	}
	p = problem(t, w.do("POST", "/api/v1/visits", fmt.Sprintf(`{"device":%q,%q:1}`, aDevice, strings.Repeat("é", 1000))))
	if p.Code != fault.Invalid || len(p.Field) > 70 {
		t.Errorf("%+v", p)
	}
}

func TestOptionalMembersMayBeNullOrAbsent(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{with("hot_standby", ""), with("hot_standby", "null")} {
		if rec := w.do("POST", "/api/v1/activations", body); rec.Code != 200 {
			t.Fatalf("%s", rec.Body)
		}
		if w.fleet.last()[0].(fleet.Activation).HotStandby.Enabled {
			t.Fatal("a pair out of nothing")
		}
	}
}

func TestBodyAndItsHeaders(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		body    string
		headers []string
		code    fault.Code
	}{
		"as it should be":   {activation, nil, ""},
		"charset":           {activation, []string{"Content-Type", "application/json; charset=UTF-8"}, ""},
		"no type":           {activation, []string{"Content-Type", ""}, fault.Invalid},
		"form":              {activation, []string{"Content-Type", "application/x-www-form-urlencoded"}, fault.Invalid},
		"plain text":        {activation, []string{"Content-Type", "text/plain"}, fault.Invalid},
		"malformed type":    {activation, []string{"Content-Type", "application/json; charset"}, fault.Invalid},
		"another charset":   {activation, []string{"Content-Type", "application/json; charset=utf-16"}, fault.Invalid},
		"compressed":        {activation, []string{"Content-Encoding", "gzip"}, fault.Invalid},
		"no body":           {"", []string{"Content-Type", "application/json"}, fault.Invalid},
		"64 KiB":            {activation + strings.Repeat(" ", 64<<10-len(activation)), nil, ""},
		"a byte more":       {activation + strings.Repeat(" ", 64<<10-len(activation)+1), nil, fault.TooLarge},
		"deep as the ocean": {`{"x":` + strings.Repeat("[", 60_000), nil, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			rec := w.do("POST", "/api/v1/activations", tt.body, tt.headers...)
			if tt.code == "" {
				if rec.Code != 200 {
					t.Fatalf("%s", rec.Body)
				}
			} else if p := problem(t, rec); p.Code != tt.code {
				t.Fatalf("%+v", p)
			}
		})
	}
	t.Run("two types", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/api/v1/activations", strings.NewReader(activation))
		r.Header["Content-Type"] = []string{"application/json", "application/json"}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if p := problem(t, rec); p.Field != "Content-Type" {
			t.Fatalf("%+v", p)
		}
	})
	t.Run("a body where none belongs", func(t *testing.T) {
		if p := problem(t, w.do("DELETE", "/api/v1/sessions/current", "{}")); p.Code != fault.Invalid {
			t.Fatalf("%+v", p)
		}
	})
}

func TestQueriesAndPathsRefused(t *testing.T) {
	w := newWorld(t)
	for target, field := range map[string]string{
		"/devices?limit=0":                             "limit",
		"/devices?limit=201":                           "limit",
		"/devices?limit=-1":                            "limit",
		"/devices?limit=ten":                           "limit",
		"/devices?limit=99999999999999999999":          "limit",
		"/devices?limit=1&limit=2":                     "limit",
		"/devices?status=on":                           "status",
		"/devices?stauts=connected":                    "stauts",
		"/devices?search=%ff":                          "search",
		"/devices?search=%00":                          "search",
		"/devices?search=" + strings.Repeat("x", 101):  "search",
		"/devices?cursor=" + strings.Repeat("x", 1025): "cursor",
		"/devices?a=1;b=2":                             "",
		"/devices?%zz":                                 "",
		"/devices/dev_short":                           "id",
		"/devices/DEV_0123456789ABCDEF":                "id",
		"/devices/" + string(aVisit):                   "id",
		"/devices/%2e%2e%2fetc":                        "id",
		"/devices/" + string(aDevice) + "?x=1":         "x",
		"/subscription?x=1":                            "x",
	} {
		p := problem(t, w.do("GET", "/api/v1"+target, ""))
		if p.Code != fault.Invalid || p.Field != field {
			t.Errorf("%s: %+v", target, p)
		}
	}
	if w.fleet.last() != nil {
		t.Errorf("it reached fleet: %v", w.fleet.last())
	}
}

// A refused request must not make net/http wait for the rest of its body, and
// one that is answered leaves the connection fit for the next.
func TestOverARealConnection(t *testing.T) {
	w := newWorld(t)
	s := httptest.NewServer(w)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	const head = "Host: x\r\nContent-Type: application/json\r\n"
	for range 2 {
		fmt.Fprintf(conn, "POST /api/v1/activations HTTP/1.1\r\n"+head+"Content-Length: %d\r\n\r\n%s", len(activation), activation)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	fmt.Fprintf(conn, "POST /api/v1/activations HTTP/1.1\r\n"+head+"Content-Length: 70000\r\n\r\n%s", strings.Repeat("x", 70000))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p fault.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Code != fault.TooLarge || !resp.Close {
		t.Fatal(p, resp.Close, err)
	}
}

// What is accepted is what was sent; what is refused reaches nobody.
func FuzzActivation(f *testing.F) {
	f.Add([]byte(activation))
	f.Add([]byte(with("hot_standby", "null")))
	f.Add([]byte(with("model", `"\ud800"`)))
	f.Add([]byte(`{"serial":{"serial":[]},"a":1}`))
	f.Add([]byte(`{}x`))
	w := newWorld(f) // once: making it anew covers other code each time, which the fuzzer takes for news
	f.Fuzz(func(t *testing.T, body []byte) {
		w.logs.TakeAll()
		w.fleet.asked = nil
		rec := w.do("POST", "/api/v1/activations", string(body), "Content-Type", "application/json")
		if rec.Code != 200 {
			if p := problem(t, rec); p.Code != fault.Invalid && p.Code != fault.TooLarge || w.fleet.last() != nil {
				t.Fatalf("%+v, %v", p, w.fleet.last())
			}
			return
		}
		first := w.fleet.last()[0].(fleet.Activation)
		q := controlapi.ActivationRequest{
			Serial: first.Serial, Model: first.Model, Firmware: first.Firmware, PublicKey: first.Key, Proof: first.Proof,
			Email: first.Email, Password: first.Password,
		}
		if h := first.HotStandby; h.Enabled {
			q.HotStandby = &controlapi.HotStandby{Type: h.Type, Role: h.Role, Peer: h.Peer}
		}
		again, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if rec := w.do("POST", "/api/v1/activations", string(again)); rec.Code != 200 {
			t.Fatalf("%s became %s: %s", body, again, rec.Body)
		}
		if second := w.fleet.last()[0].(fleet.Activation); !reflect.DeepEqual(first, second) {
			t.Fatal(cmp.Diff(first.Password, second.Password), first, second)
		}
	})
}
