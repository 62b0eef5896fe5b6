package peer

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// What relays write to each other, byte by byte: at commit bd5bcb5, or since the one
// that is named. It is what one version behind says and understands, so none of it is
// ever changed or made anew: a form that comes to be written beside it gets a line of
// its own.

func TestRequestsOfBefore(t *testing.T) {
	v := tunnel.Visit{ID: "vis_0123456789abcdef", Who: "Ann <ann@example.com>", Method: "account", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Idle: 15 * time.Minute}
	for wire, is := range map[string]Request{
		"\x01\x01\x17" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","service":"portal","visit":"vis_0123456789abcdef","who":"Ann \u003cann@example.com\u003e","method":"account","started":"2026-03-01T12:00:00Z","idle_s":900,"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`: {
			Device: "dev_0123456789abcdef", Visit: v,
			Header: tunnel.Header{Service: tunnel.ServicePortal, Visit: v.ID, Who: v.Who, Method: v.Method, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		},
		"\x01\x00\x83" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","service":"login","visit":"vis_0123456789abcdef","method":"passwordless"}`: {
			Device: "dev_0123456789abcdef", Header: tunnel.Header{Service: tunnel.ServiceLogin, Visit: v.ID, Method: "passwordless"},
		},
	} {
		for _, b := range []string{wire, fromNext(wire)} {
			if h, err := readHeader(strings.NewReader(b), "relay-1"); err != nil || h.request() != is {
				t.Errorf("%q is read as %+v, %v; it was %+v", b, h.request(), err, is)
			}
		}
		if b, err := is.header("relay-1").encode(); err != nil || string(b) != wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
		}
		if _, err := readHeader(strings.NewReader("\x02"+wire[1:]), "relay-1"); fault.CodeOf(err) != fault.VersionMismatch {
			t.Errorf("a header of version 2: %v", err)
		}
	}
}

// fromNext is what the next version might send in place of a header: with a member more.
func fromNext(wire string) string {
	body := strings.Replace(wire[3:], `{`, `{"from_the_next_version":{"list":[1,"two"]},`, 1)
	return string(binary.BigEndian.AppendUint16([]byte{wire[0]}, uint16(len(body)))) + body
}

func TestNoticesOfBefore(t *testing.T) {
	for wire, is := range map[string]Notice{
		"\x01\x00\x4d" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","notice":"leaving"}`:                                                        {Kind: Leaving, Device: "dev_0123456789abcdef"},
		"\x01\x00\x6a" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","visit":"vis_0123456789abcdef","notice":"doubt"}`:                           {Kind: Doubt, Device: "dev_0123456789abcdef", Visit: "vis_0123456789abcdef"},
		"\x01\x00\x84" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","visit":"vis_0123456789abcdef","notice":"visit_ended","code":"visit_idle"}`: {Kind: VisitEnded, Device: "dev_0123456789abcdef", Visit: "vis_0123456789abcdef", Code: fault.VisitIdle},
		"\x01\x00\x6e" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","visit":"vis_0123456789abcdef","notice":"end_visit"}`:                       {Kind: EndVisit, Device: "dev_0123456789abcdef", Visit: "vis_0123456789abcdef"},
		// Since 598d39b.
		"\x01\x00\x49" + `{"hop":1,"from":"relay-1","visit":"vis_0123456789abcdef","notice":"seen"}`: {Kind: seen, Visit: "vis_0123456789abcdef"},
		"\x01\x00\x2d" + `{"hop":1,"from":"relay-1","notice":"closing"}`:                             {Kind: closing},
	} {
		for _, b := range []string{wire, fromNext(wire)} {
			if h, err := readHeader(strings.NewReader(b), "relay-1"); err != nil || h.notice() != is {
				t.Errorf("%q is read as %+v, %v; it was %+v", b, h.notice(), err, is)
			}
		}
		if b, err := is.header("relay-1").encode(); err != nil || string(b) != wire {
			t.Errorf("written is %q, %v; whoever is a version behind knows %q", b, err, wire)
		}
	}
	// A kind that is not known is read, and left out by who hears it.
	const next = "\x01\x00\x7a" + `{"hop":1,"from":"relay-1","device":"dev_0123456789abcdef","visit":"vis_0123456789abcdef","notice":"from_the_next_version"}`
	if h, err := readHeader(strings.NewReader(next), "relay-1"); err != nil || h.Notice != "from_the_next_version" {
		t.Errorf("a notice of the next version: %+v, %v", h, err)
	}
}

func TestRepliesOfBefore(t *testing.T) {
	if err := readReply(strings.NewReader("\x00")); err != nil {
		t.Errorf("an accepted stream: %v", err)
	}
	const wire = "\x01\x00\x42" + `{"code":"not_at_this_relay","message":"Not here.","retry_ms":1500}`
	is := fault.New(fault.NotHere, "Not here.").After(1500 * time.Millisecond)
	for _, b := range []string{wire, fromNext(wire)} {
		if got, ok := readReply(strings.NewReader(b)).(*fault.Error); !ok || *got != *is {
			t.Errorf("%q is read as %+v; it was %+v", b, got, is)
		}
	}
	if b := encodeRefusal(is); string(b) != wire {
		t.Errorf("written is %q; whoever is a version behind knows %q", b, wire)
	}
	unknown := strings.Replace(wire, "not_at_this_relay", "of_a_next_version", 1) // as long
	if err := readReply(strings.NewReader(unknown)); fault.CodeOf(err) != "of_a_next_version" {
		t.Errorf("a code of the next version: %v", err)
	}
}
