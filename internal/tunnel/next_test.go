package tunnel

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
)

// fromNext is what the next version might send in place of b: every object has a
// member more.
func fromNext(t *testing.T, b []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var add func(any)
	add = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, inner := range v {
				add(inner)
			}
			v["from_the_next_version"] = map[string]any{"list": []any{1, "two"}}
		case []any:
			for _, inner := range v {
				add(inner)
			}
		}
	}
	add(v)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Whoever is one version behind understands what it knows of a message, and
// ignores the rest (PROTOCOL.md, "Versions").
func TestMembersOfTheNextVersionAreIgnored(t *testing.T) {
	visit := &wireVisit{ID: "vis_0123456789abcdef", Who: "Ann", Method: "account", Started: time.Unix(1e9, 0).UTC(), IdleS: 900}
	for _, m := range []message{
		{Type: typeStatus, Status: &Status{
			Portal:  Portal{Origin: "https://127.0.0.1:8088", Aliases: []string{"http://pbx"}},
			Standby: &Standby{Type: "primary", Role: "active", Peer: "3631A20C0042", Claim: 3},
		}},
		{Type: typePass, Pass: "header.claims.signature"},
		{Type: typeRefused, Fault: toWire(fault.New(fault.PassInvalid, "no"))},
		{Type: typeDrain, DeadlineMS: 300_000, WithinMS: 20_000, Relays: []string{"relay-2.example.com:8443"}},
		{Type: typeHome, DeadlineMS: 300_000, Relays: []string{"relay-2.example.com:8443"}},
		{Type: typeRenew, WithinMS: 1000},
		{Type: typePing, ID: 7},
		{Type: typePong, ID: 7},
		{Type: typeGoodbye, Fault: toWire(fault.New(fault.Draining, "no"))},
		{Type: typeVisit, Visit: visit},
		{Type: typeVisitEnd, Visit: &wireVisit{ID: visit.ID}, Code: fault.VisitEnded},
		{Type: typeEndVisit, Visit: &wireVisit{ID: visit.ID}},
	} {
		now, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want, err := parseMessage(now)
		if err != nil {
			t.Fatalf("%s: %v", m.Type, err)
		}
		if got, err := parseMessage(fromNext(t, now)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of the next version: %+v, %v; want %+v", m.Type, got, err, want)
		}
	}
	if m, err := parseMessage([]byte(`{"type":"from_the_next_version","status":7}`)); err != nil || known(m.Type) {
		t.Errorf("a message of the next version: %+v, %v", m, err)
	}
}

func TestHellosAndAnswersOfTheNextVersion(t *testing.T) {
	hello := []byte(`{"version":1,"pass":"header.claims.signature","proof":"` + strings.Repeat("A", 86) + `==","agent":{"version":"2.0.0"}}`)
	want, err := parseHello(hello)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseHello(fromNext(t, hello)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("a hello: %+v, %v", got, err)
	}
	welcome := []byte(`{"welcome":{"version":1,"relay":"relay-1","tunnel":"tun_0123456789abcdef","ping_ms":20000}}`)
	if got, refusal, err := parseAnswer(fromNext(t, welcome)); err != nil || refusal != nil || got.Relay != "relay-1" {
		t.Errorf("a welcome: %+v, %v, %v", got, refusal, err)
	}
	refused := []byte(`{"refusal":{"code":"from_the_next_version","message":"no","retry_ms":2000}}`)
	if _, refusal, err := parseAnswer(fromNext(t, refused)); err != nil || refusal == nil || refusal.Retry != 2*time.Second {
		t.Errorf("a refusal: %v, %v", refusal, err)
	}
	// What it must not ignore has a version of its own, and is refused by that.
	next := strings.Replace(string(hello), `"version":1,"pass"`, `"version":2,"pass"`, 1)
	if _, err := parseHello([]byte(next)); fault.CodeOf(err) != fault.VersionMismatch {
		t.Errorf("a hello of version 2: %v", err)
	}
}

// What idle tunnels say is what it would be if it were made and parsed each time.
func TestIdleWordsAreAsAnyOthers(t *testing.T) {
	for _, m := range []message{{Type: typePing}, {Type: typePong}, {Type: typePing, ID: 7}, {Type: typePong, ID: 7}} {
		want, err := block(m, controlMax)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.encode()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s %d is encoded as %q, %v; want %q", m.Type, m.ID, got, err, want)
		}
		if again, err := parseMessage(want[4:]); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%q is parsed as %+v, %v", want, again, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		b, _ := message{Type: typePing}.encode()
		_, _ = parseMessage(b[4:])
	}); n != 0 {
		t.Errorf("a ping takes %v allocations", n)
	}
}
