package peer

import (
	"bytes"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

func request() Request {
	v := tunnel.Visit{ID: id.NewVisit(), Who: "Ann <ann@example.com>", Method: "account", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Idle: 15 * time.Minute}
	return Request{Device: id.NewDevice(), Header: tunnel.Header{Service: tunnel.ServicePortal, Visit: v.ID, Who: v.Who, Method: v.Method}, Visit: v}
}

func TestHeaderRoundTrip(t *testing.T) {
	q := request()
	b, err := q.header("relay-1").encode()
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(append(b, "behind"...))
	h, err := readHeader(r, "relay-1")
	if err != nil || h.request() != q {
		t.Errorf("%+v, %v", h.request(), err)
	}
	if r.Len() != len("behind") {
		t.Errorf("%d bytes of what follows are left", r.Len())
	}
}

func TestHeaderRefuses(t *testing.T) {
	refused := func(what string, change func(*header), code fault.Code) {
		t.Helper()
		h := request().header("relay-1")
		change(&h)
		b, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readHeader(bytes.NewReader(b), "relay-1"); fault.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", what, err, code)
		}
	}
	refused("a second hop", func(h *header) { h.Hop = 2 }, fault.Loop)
	refused("no hop", func(h *header) { h.Hop = 0 }, fault.Loop)
	refused("another relay's", func(h *header) { h.From = "relay-2" }, fault.Protocol)
	refused("no device", func(h *header) { h.Device = "" }, fault.Protocol)
	refused("no service", func(h *header) { h.Service = "" }, fault.Protocol)
	refused("a year of idleness", func(h *header) { h.IdleS = 1 << 30 }, fault.Protocol)
	for what, raw := range map[string]struct {
		b    string
		code fault.Code
	}{
		"another version": {"\x02\x00\x02{}", fault.VersionMismatch}, "too long": {"\x01\xff\xff", fault.Protocol},
		"cut off": {"\x01\x00\x09{", fault.Protocol}, "no JSON": {"\x01\x00\x02xx", fault.Protocol}, "nothing": {"", fault.Protocol},
	} {
		if _, err := readHeader(bytes.NewReader([]byte(raw.b)), "relay-1"); fault.CodeOf(err) != raw.code {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	if err := readReply(bytes.NewReader([]byte{replyAccepted})); err != nil {
		t.Error(err)
	}
	f := fault.New(fault.NotHere, "Not here.").After(1500 * time.Millisecond)
	got, ok := readReply(bytes.NewReader(encodeRefusal(f))).(*fault.Error)
	if !ok || *got != *f {
		t.Errorf("%+v, want %+v", got, f)
	}
	long := fault.New(fault.NotHere, "%s", bytes.Repeat([]byte("\x01"), replyMax))
	if err := readReply(bytes.NewReader(encodeRefusal(long))); fault.CodeOf(err) != fault.NotHere {
		t.Errorf("a long message: %v", err)
	}
}

// What parses is what is written for it.
func FuzzHeader(f *testing.F) {
	b, err := request().header("relay-1").encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x01\x00\x02{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b), "relay-1")
		if err != nil {
			if fault.CodeOf(err) == fault.Internal {
				t.Errorf("no fault: %v", err)
			}
			return
		}
		again, err := h.request().header(h.From).encode()
		if err != nil {
			return // what JSON escapes makes it longer than it may be
		}
		h2, err := readHeader(bytes.NewReader(again), "relay-1")
		if err != nil || h2.request() != h.request() {
			t.Errorf("%+v, %v, want %+v", h2, err, h)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte{replyAccepted})
	f.Add(encodeRefusal(fault.New(fault.NotHere, "Not here.")))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := readReply(bytes.NewReader(b))
		refusal, ok := err.(*fault.Error)
		if !ok || refusal == errReply {
			return
		}
		if again := readReply(bytes.NewReader(encodeRefusal(refusal))); fault.CodeOf(again) != refusal.Code {
			t.Errorf("%v comes back as %v", refusal, again)
		}
	})
}
