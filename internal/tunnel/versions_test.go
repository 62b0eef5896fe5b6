package tunnel

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
)

// What agents and relays of commit bd5bcb5 write, byte by byte. It is what one version
// behind says and understands, so none of it is ever changed or made anew: a form that
// comes to be written beside it gets a line of its own.

func TestControlMessagesOfBefore(t *testing.T) {
	for _, was := range []struct {
		wire string
		is   message
	}{
		{"\x00\x00\x01\x16" + `{"type":"status","status":{"portal":{"origin":"https://127.0.0.1:8088","aliases":["http://pbx.example.com"]},"standby":{"type":"primary","role":"active","peer":"3631A20C0042","claim":3},"logins":{"account":true,"passwordless":true,"auto_logout":15},"second":true,"region":"eu"}}`, message{Type: typeStatus, Status: &Status{
			Portal:  Portal{Origin: "https://127.0.0.1:8088", Aliases: []string{"http://pbx.example.com"}},
			Standby: &Standby{Type: "primary", Role: "active", Peer: "3631A20C0042", Claim: 3},
			Logins:  Logins{Account: true, Passwordless: true, AutoLogout: 15}, Second: true, Region: "eu",
		}}},
		{"\x00\x00\x00\x33" + `{"type":"status","status":{"portal":{"origin":""}}}`, message{Type: typeStatus, Status: &Status{}}},
		{"\x00\x00\x00\x30" + `{"type":"pass","pass":"header.claims.signature"}`, message{Type: typePass, Pass: "header.claims.signature"}},
		{"\x00\x00\x00\x58" + `{"type":"refused","fault":{"code":"pass_expired","message":"Renew it.","retry_ms":2000}}`, message{Type: typeRefused, Fault: &wireFault{Code: fault.PassExpired, Message: "Renew it.", RetryMS: 2000}}},
		{"\x00\x00\x00\x5d" + `{"type":"drain","deadline_ms":300000,"within_ms":20000,"relays":["relay-2.example.com:8443"]}`, message{Type: typeDrain, DeadlineMS: 300_000, WithinMS: 20_000, Relays: []string{"relay-2.example.com:8443"}}},
		{"\x00\x00\x00\x4a" + `{"type":"home","deadline_ms":300000,"relays":["relay-2.example.com:8443"]}`, message{Type: typeHome, DeadlineMS: 300_000, Relays: []string{"relay-2.example.com:8443"}}},
		{"\x00\x00\x00\x21" + `{"type":"renew","within_ms":1000}`, message{Type: typeRenew, WithinMS: 1000}},
		{"\x00\x00\x00\x0f" + `{"type":"ping"}`, message{Type: typePing}},
		{"\x00\x00\x00\x29" + `{"type":"ping","id":18446744073709551615}`, message{Type: typePing, ID: 1<<64 - 1}},
		{"\x00\x00\x00\x0f" + `{"type":"pong"}`, message{Type: typePong}},
		{"\x00\x00\x00\x16" + `{"type":"pong","id":7}`, message{Type: typePong, ID: 7}},
		{"\x00\x00\x00\x33" + `{"type":"goodbye","fault":{"code":"agent_stopped"}}`, message{Type: typeGoodbye, Fault: &wireFault{Code: fault.AgentStopped}}},
		{"\x00\x00\x00\x9f" + `{"type":"visit","visit":{"id":"vis_0123456789abcdef","who":"Ann \u003cann@example.com\u003e","method":"account","started":"2026-03-01T12:00:00Z","idle_s":900}}`, message{Type: typeVisit, Visit: &wireVisit{
			ID: "vis_0123456789abcdef", Who: "Ann <ann@example.com>", Method: "account", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), IdleS: 900,
		}}},
		{"\x00\x00\x00\x58" + `{"type":"visit_end","visit":{"id":"vis_0123456789abcdef"},"code":"visit_ended_by_staff"}`, message{Type: typeVisitEnd, Visit: &wireVisit{ID: "vis_0123456789abcdef"}, Code: fault.EndedByStaff}},
		{"\x00\x00\x00\x3a" + `{"type":"end_visit","visit":{"id":"vis_0123456789abcdef"}}`, message{Type: typeEndVisit, Visit: &wireVisit{ID: "vis_0123456789abcdef"}}},
	} {
		b, err := readBlock(strings.NewReader(was.wire), controlMax)
		if err != nil {
			t.Fatalf("%q: %v", was.wire, err)
		}
		if m, err := parseMessage(b); err != nil || !reflect.DeepEqual(m, was.is) {
			t.Errorf("%q is read as %+v, %v; it was %+v", was.wire, m, err, was.is)
		}
		if b, err := was.is.encode(); err != nil || string(b) != was.wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, was.wire)
		}
	}
}

func TestHellosOfBefore(t *testing.T) {
	key, exporter := ed25519.NewKeyFromSeed(make([]byte, 32)), bytes.Repeat([]byte("e"), exporterLen)
	first := Hello{
		Pass: "header.claims.signature", Proof: Proof(key, exporter, "header.claims.signature"), Agent: AgentInfo{Version: "1.0.0", OS: "linux", Arch: "arm64"},
	}
	second := first
	second.Second = true
	for wire, is := range map[string]Hello{
		"\x00\x00\x00\xc9" + `{"version":1,"pass":"header.claims.signature","proof":"MgFGC9gXXP+MZlSobWny8Xa3cUgtSc897TpdCanbnsGHYiZxnqMIHNeocupSxkEfWY0WMvj8LCqhsEUAVkGMBg==","agent":{"version":"1.0.0","os":"linux","arch":"arm64"}}`:               first,
		"\x00\x00\x00\xd7" + `{"version":1,"pass":"header.claims.signature","proof":"MgFGC9gXXP+MZlSobWny8Xa3cUgtSc897TpdCanbnsGHYiZxnqMIHNeocupSxkEfWY0WMvj8LCqhsEUAVkGMBg==","agent":{"version":"1.0.0","os":"linux","arch":"arm64"},"second":true}`: second,
	} {
		b, err := readBlock(strings.NewReader(wire), helloMax)
		if err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		h, err := parseHello(b)
		if err != nil || !reflect.DeepEqual(h, is) {
			t.Errorf("%q is read as %+v, %v; it was %+v", wire, h, err, is)
		}
		if !VerifyProof(key.Public().(ed25519.PublicKey), exporter, h.Pass, h.Proof) {
			t.Errorf("the proof of %q is refused", wire)
		}
		if b, err := is.encode(); err != nil || string(b) != wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
		}
	}
}

func TestAnswersOfBefore(t *testing.T) {
	welcome := Welcome{Relay: "relay-1", Tunnel: "tun_0123456789abcdef", Ping: 20 * time.Second}
	second := welcome
	second.Second = true
	for wire, is := range map[string]Welcome{
		"\x00\x00\x00\x5b" + `{"welcome":{"version":1,"relay":"relay-1","tunnel":"tun_0123456789abcdef","ping_ms":20000}}`:               welcome,
		"\x00\x00\x00\x69" + `{"welcome":{"version":1,"relay":"relay-1","tunnel":"tun_0123456789abcdef","ping_ms":20000,"second":true}}`: second,
	} {
		b, err := readBlock(strings.NewReader(wire), helloMax)
		if err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if w, refusal, err := parseAnswer(b); err != nil || refusal != nil || w != is {
			t.Errorf("%q is read as %+v, %v, %v; it was %+v", wire, w, refusal, err, is)
		}
		if b, err := is.encode(); err != nil || string(b) != wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
		}
	}
	const wire = "\x00\x00\x00\x59" + `{"refusal":{"code":"draining","message":"The relay is being restarted.","retry_ms":2000}}`
	is := fault.New(fault.Draining, "The relay is being restarted.").After(2 * time.Second)
	if _, refusal, err := parseAnswer([]byte(wire[4:])); err != nil || refusal == nil || *refusal != *is {
		t.Errorf("%q is read as %+v, %v; it was %+v", wire, refusal, err, is)
	}
	if b, err := encodeRefusal(is); err != nil || string(b) != wire {
		t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
	}
}

func TestStreamHeadersOfBefore(t *testing.T) {
	for wire, is := range map[string]Header{
		"\x01\x00\x6e" + `{"service":"portal","visit":"vis_0123456789abcdef","who":"Ann \u003cann@example.com\u003e","method":"account"}`: {Service: ServicePortal, Visit: "vis_0123456789abcdef", Who: "Ann <ann@example.com>", Method: "account"},
		"\x01\x00\x56" + `{"service":"login","visit":"vis_0123456789abcdef","who":"Ann","method":"passwordless"}`:                         {Service: ServiceLogin, Visit: "vis_0123456789abcdef", Who: "Ann", Method: "passwordless"},
	} {
		if h, err := readHeader(strings.NewReader(wire)); err != nil || h != is {
			t.Errorf("%q is read as %+v, %v; it was %+v", wire, h, err, is)
		}
		if b, err := is.encode(); err != nil || string(b) != wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
		}
		next := fromNext(t, []byte(wire[3:]))
		framed := string(binary.BigEndian.AppendUint16([]byte{headerVersion}, uint16(len(next)))) + string(next)
		if h, err := readHeader(strings.NewReader(framed)); err != nil || h != is {
			t.Errorf("with members more it is read as %+v, %v; it was %+v", h, err, is)
		}
		if h, err := readHeader(strings.NewReader("\x02" + wire[1:])); err == nil {
			t.Errorf("a header of version 2 is taken: %+v", h)
		}
	}
}

func TestRepliesOfBefore(t *testing.T) {
	if refusal, err := parseReply([]byte("\x00")); refusal != nil || err != nil {
		t.Errorf("an accepted stream: %v, %v", refusal, err)
	}
	var accepted bytes.Buffer
	if err := AcceptStream(&accepted); err != nil || accepted.String() != "\x00" {
		t.Errorf("a stream is accepted by %q, %v", accepted.String(), err)
	}
	const wire = "\x01\x00\x49" + `{"code":"portal_refused","message":"Connection refused.","retry_ms":1000}`
	is := fault.New(fault.PortalRefused, "Connection refused.").After(time.Second)
	if n, err := replyNeed([]byte(wire)); n != len(wire) || err != nil {
		t.Errorf("%d bytes are waited for, %v; it was %d", n, err, len(wire))
	}
	next := append([]byte(wire[:3]), fromNext(t, []byte(wire[3:]))...) // its length is not looked at any more
	for _, b := range [][]byte{[]byte(wire), next} {
		if refusal, err := parseReply(b); err != nil || refusal == nil || *refusal != *is {
			t.Errorf("%q is read as %+v, %v; it was %+v", b, refusal, err, is)
		}
	}
	if b := encodeReply(is); string(b) != wire {
		t.Errorf("written is %q; whoever is a version behind knows %q", b, wire)
	}
}

func TestLoginsOfBefore(t *testing.T) {
	const wire = `{"cookies":[{"name":"sid","value":"a b","path":"/","secure":true,"http_only":true,"same_site":"lax","max_age":3600}],"location":"/start?a=b"}`
	is := Login{
		Cookies:  []Cookie{{Name: "sid", Value: "a b", Path: "/", Secure: true, HTTPOnly: true, SameSite: "lax", MaxAge: 3600}},
		Location: "/start?a=b",
	}
	for _, b := range [][]byte{[]byte(wire), fromNext(t, []byte(wire))} {
		if l, err := ReadLogin(bytes.NewReader(b)); err != nil || !reflect.DeepEqual(l, is) {
			t.Errorf("%q is read as %+v, %v; it was %+v", b, l, err, is)
		}
	}
	var b strings.Builder
	if _, err := is.WriteTo(&b); err != nil || b.String() != wire {
		t.Errorf("written is %q, %v; whoever is a version behind knows %q", b.String(), err, wire)
	}
}
