package tunnel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	headerVersion = 1
	headerMax     = 2 << 10
	whoMax        = 256
	nameMax       = 32
	refusalMax    = 2 << 10

	replyAccepted = 0x00
	replyRefused  = 0x01
)

// Header is what the relay writes first on every stream it opens.
type Header struct {
	Service string   `json:"service"`          // see ServicePortal
	Visit   id.Visit `json:"visit,omitempty"`  // whose visit the stream first serves
	Who     string   `json:"who,omitempty"`    // the person, for the PBX's own records
	Method  string   `json:"method,omitempty"` // how the person is signed in at the portal

	Trace string `json:"-"` // traceparent of what the stream is opened for; the agent is not told
}

func (h Header) valid() error {
	if h.Service == "" || !plain(h.Service, nameMax) || !plain(h.Method, nameMax) || !plain(h.Who, whoMax) {
		return errors.New("stream header: a field is missing, too long or no text")
	}
	return nil
}

func (h Header) encode() ([]byte, error) {
	h.Who = cut(h.Who, whoMax) // a long name is no reason to keep its bearer out
	if err := h.valid(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("stream header: %w", err)
	}
	if len(b) > headerMax {
		return nil, fmt.Errorf("stream header: %w", errTooLong)
	}
	out := append(make([]byte, 0, 3+len(b)), headerVersion)
	return append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...), nil
}

func readHeader(r io.Reader) (Header, error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Header{}, fmt.Errorf("stream header: %w", err)
	}
	if head[0] != headerVersion {
		return Header{}, fmt.Errorf("stream header: version %d, want %d", head[0], headerVersion)
	}
	n := binary.BigEndian.Uint16(head[1:])
	if n > headerMax {
		return Header{}, fmt.Errorf("stream header: %w", errTooLong)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return Header{}, fmt.Errorf("stream header: %w", err)
	}
	var h Header
	if err := json.Unmarshal(b, &h); err != nil {
		return Header{}, fmt.Errorf("stream header: %w", err)
	}
	if err := h.valid(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// AcceptStream tells the relay that the stream reached what it was meant for.
// The agent calls it once, before its first byte.
func AcceptStream(c io.Writer) error {
	_, err := c.Write([]byte{replyAccepted})
	return err
}

// RefuseStream tells the relay why there is nothing behind the stream, and
// closes it.
func RefuseStream(c io.WriteCloser, f *fault.Error) error {
	_, err := c.Write(encodeReply(f))
	return errors.Join(err, c.Close())
}

func encodeReply(f *fault.Error) []byte {
	b, err := json.Marshal(toWire(f))
	if err != nil || len(b) > refusalMax {
		// A message of nothing but escapes grows sixfold in JSON.
		b, _ = json.Marshal(wireFault{Code: toWire(f).Code})
	}
	out := append(make([]byte, 0, 3+len(b)), replyRefused)
	return append(binary.BigEndian.AppendUint16(out, uint16(len(b))), b...)
}

// replyNeed says how many bytes of a reply are wanted in all, given the ones
// that are here; parseReply may be called when there are as many.
func replyNeed(b []byte) (int, error) {
	switch {
	case len(b) == 0 || b[0] == replyAccepted:
		return 1, nil
	case b[0] != replyRefused:
		return 0, fault.New(fault.Protocol, "The agent's reply on a stream begins with 0x%02x.", b[0])
	case len(b) < 3:
		return 3, nil
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if n > refusalMax {
		return 0, fault.New(fault.Protocol, "The agent's refusal of a stream is too long.")
	}
	return 3 + n, nil
}

// parseReply is nil for an accepted stream, the agent's reason for a refused
// one, or an error about the reply itself.
func parseReply(b []byte) (*fault.Error, error) {
	if b[0] == replyAccepted {
		return nil, nil
	}
	var w wireFault
	if err := json.Unmarshal(b[3:], &w); err != nil {
		return nil, fault.New(fault.Protocol, "The agent's refusal of a stream is not the JSON it should be.")
	}
	f, err := w.fault()
	if err != nil {
		return nil, fault.New(fault.Protocol, "The agent's refusal of a stream is malformed.")
	}
	return f, nil
}
