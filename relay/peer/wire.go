package peer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

const (
	version   = 1
	headerMax = 4 << 10
	replyMax  = 2 << 10

	replyAccepted = 0x00
	replyRefused  = 0x01
)

// Request is what a stream to a device begins with.
type Request struct {
	Device id.Device
	Header tunnel.Header // what the agent is told
	Visit  tunnel.Visit  // whose it is, for the device's own staff; the zero value if it is not known
}

// header is a Request on the wire.
type header struct {
	Hop     int       `json:"hop"`  // 1: it comes from the relay that the browser reached
	From    id.Relay  `json:"from"` // that relay
	Device  id.Device `json:"device,omitempty"`
	Service string    `json:"service,omitempty"`
	Visit   id.Visit  `json:"visit,omitempty"`
	Who     string    `json:"who,omitempty"`
	Method  string    `json:"method,omitempty"`
	Started time.Time `json:"started,omitzero"`
	IdleS   int64     `json:"idle_s,omitempty"`
	Trace   string    `json:"trace,omitempty"` // a traceparent; whoever wants it checks it

	Notice string     `json:"notice,omitempty"` // instead of a service
	Code   fault.Code `json:"code,omitempty"`
}

func (q Request) header(from id.Relay) header {
	return header{
		Hop: 1, From: from, Device: q.Device, Service: q.Header.Service, Visit: q.Header.Visit, Who: q.Header.Who, Method: q.Header.Method,
		Started: q.Visit.Started.UTC().Round(0), IdleS: int64(q.Visit.Idle / time.Second), Trace: q.Header.Trace,
	}
}

func (h header) request() Request {
	q := Request{Device: h.Device, Header: tunnel.Header{Service: h.Service, Visit: h.Visit, Who: h.Who, Method: h.Method, Trace: h.Trace}}
	if !h.Started.IsZero() {
		q.Visit = tunnel.Visit{ID: h.Visit, Who: h.Who, Method: h.Method, Started: h.Started, Idle: time.Duration(h.IdleS) * time.Second}
	}
	return q
}

func (h header) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("peer header: %w", err)
	}
	if len(b) > headerMax {
		return nil, fmt.Errorf("peer header: %d bytes, limit %d", len(b), headerMax)
	}
	out := append(make([]byte, 0, 3+len(b)), version)
	return append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...), nil
}

// readHeader reads a header that from sends. Errors are faults. The version is
// judged before anything else: another one may look different altogether.
func readHeader(r io.Reader, from id.Relay) (header, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return header{}, fault.New(fault.Protocol, "The stream between relays has no header.")
	}
	if head[0] != version {
		return header{}, fault.New(fault.VersionMismatch, "This relay speaks peer protocol version %d; the stream has version %d. Update the older relay.", version, head[0])
	}
	n := int(binary.BigEndian.Uint16(head[1:]))
	if n > headerMax {
		return header{}, fault.New(fault.Protocol, "The header of the stream between relays is longer than %d bytes.", headerMax)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return header{}, fault.New(fault.Protocol, "The header of the stream between relays is cut off.")
	}
	var h header
	if err := json.Unmarshal(b, &h); err != nil {
		return header{}, fault.New(fault.Protocol, "The header of the stream between relays is malformed.")
	}
	return h, h.valid(from)
}

func (h header) valid(from id.Relay) error {
	switch {
	case h.Hop != 1:
		return fault.New(fault.Loop, "A request goes through two relays at most; this one was on its way to a third.")
	case h.From != from:
		return fault.New(fault.Protocol, "The stream between relays names another relay than its link's.")
	case h.Notice != "":
		return h.notice().valid()
	case h.Device == "", h.Visit == "", h.Service == "":
		return fault.New(fault.Protocol, "The header of the stream between relays lacks its device, visit or service.")
	case h.IdleS < 0, h.IdleS > int64(24*time.Hour/time.Second), h.Started.Year() > 9999:
		return fault.New(fault.Protocol, "The header of the stream between relays has a time out of range.")
	}
	return nil
}

// wireFault is a refusal in JSON.
type wireFault struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message,omitempty"`
	RetryMS int64      `json:"retry_ms,omitempty"`
}

func encodeRefusal(f *fault.Error) []byte {
	w := wireFault{Code: f.Code, Message: f.Message, RetryMS: f.Retry.Milliseconds()}
	b, err := json.Marshal(w)
	if err != nil || len(b) > replyMax {
		b, _ = json.Marshal(wireFault{Code: f.Code, RetryMS: w.RetryMS}) // a code is short
	}
	out := append(make([]byte, 0, 3+len(b)), replyRefused)
	return append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...)
}

// readReply is nil for an accepted stream, the other relay's fault for a refused
// one, and an error that is no fault if the reply did not come. It reads no byte
// beyond the reply.
func readReply(r io.Reader) error {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return unfinished(err)
	}
	if head[0] == replyAccepted {
		return nil
	}
	return readRefusal(r, head[0])
}

// readRefusal reads what stands behind a reply's first byte.
func readRefusal(r io.Reader, first byte) error {
	if first != replyRefused {
		return errReply
	}
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return unfinished(err)
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > replyMax {
		return errReply
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return unfinished(err)
	}
	var w wireFault
	if err := json.Unmarshal(b, &w); err != nil || !validCode(w.Code) || w.RetryMS < 0 || w.RetryMS > (24*time.Hour).Milliseconds() {
		return errReply
	}
	return &fault.Error{Code: w.Code, Message: w.Message, Retry: time.Duration(w.RetryMS) * time.Millisecond}
}

var errReply = fault.New(fault.Protocol, "The other relay's reply is malformed. Update the older relay.")

func validCode(c fault.Code) bool {
	return c != "" && len(c) <= 64 && strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Codes of a stream's RST, for what becomes of one after its reply.
const (
	resetPlain = 0 // the portal's side broke
	resetLost  = 1 // the tunnel was lost
)

func resetCode(err error) uint32 {
	if fault.CodeOf(err) == fault.ConnectionLost {
		return resetLost
	}
	return resetPlain
}

var errTunnelLost = fault.New(fault.ConnectionLost, "The connection to the PBX broke.")

// unfinished is the error of a reply that has not come: an end without one is
// no end of anything.
func unfinished(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
