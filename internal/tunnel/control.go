package tunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Types of control messages. Whoever gets another type, or one that is not
// meant for its side, ignores it: so newer peers may say more.
const (
	typeStatus  = "status"  // agent: what is behind the tunnel
	typePass    = "pass"    // agent: a renewed pass
	typeRefused = "refused" // relay: the pass sent last was not taken; the tunnel goes on
	typeDrain   = "drain"   // relay: move to another relay
	typeHome    = "home"    // relay: move to one of these, where the device should be, or stay
	typeRenew   = "renew"   // relay: what comes with a pass is another than before
	typePing    = "ping"
	typePong    = "pong"
	typeGoodbye = "goodbye" // the sender will close

	typeVisit    = "visit"     // relay: somebody visits the device
	typeVisitEnd = "visit_end" // relay: and does so no more
	typeEndVisit = "end_visit" // agent: the PBX's staff want a visit to end
)

const (
	aliasesMax = 32
	originMax  = 300
	relaysMax  = 64
	regionMax  = 63

	autoLogoutMax = 120 // minutes
)

// Status says what is behind an agent's tunnel. The portal's origin is empty
// while the agent does not know it.
type Status struct {
	Portal  Portal   `json:"portal"`
	Standby *Standby `json:"standby,omitempty"` // nil: a single PBX
	Logins  Logins   `json:"logins,omitzero"`
	Second  bool     `json:"second,omitempty"` // the device's first tunnel is elsewhere; false: this is it, from now on
	Region  string   `json:"region,omitempty"` // of the relays that its account wishes it to be at; "": any
}

// Standby is what a PBX says of its hot-standby pair.
type Standby struct {
	Type string    `json:"type"` // primary or secondary: it never changes
	Role string    `json:"role"` // active or standby
	Peer id.Serial `json:"peer"`
	// Claim numbers the changes of Role: of two devices that say they are
	// active the higher claim serves. It never falls.
	Claim uint64 `json:"claim,omitempty"`
}

// ClaimMax is the highest claim there can be: databases have no more bits.
const ClaimMax = 1<<63 - 1

// Logins says how the PBX lets visitors in.
type Logins struct {
	Account      bool `json:"account,omitempty"`      // there is a dedicated remote account
	Passwordless bool `json:"passwordless,omitempty"` // the PBX's switch is on and an adapter is there
	AutoLogout   int  `json:"auto_logout,omitempty"`  // minutes without an operation that end a passwordless visit; 0: unsaid
}

// Drain is a relay's request to move.
type Drain struct {
	Deadline time.Duration // then the relay closes the tunnel, whatever still runs on it
	Within   time.Duration // open the new tunnel at a moment not later than this
	Relays   []string      // host:port, where the relay thinks it could go, in the order to try; may be empty
}

// Home is a relay's word that the agent could be where its Status wishes it.
type Home struct {
	Deadline time.Duration // of streams on the old tunnel, once there is a new one
	Relays   []string      // host:port, in the order to try
}

// message is a control message; Type says which other fields mean anything.
type message struct {
	Type       string     `json:"type"`
	ID         uint64     `json:"id,omitempty"` // ping, pong
	Status     *Status    `json:"status,omitempty"`
	Pass       string     `json:"pass,omitempty"`
	DeadlineMS int64      `json:"deadline_ms,omitempty"` // drain, home
	WithinMS   int64      `json:"within_ms,omitempty"`   // drain, renew
	Relays     []string   `json:"relays,omitempty"`      // drain, home
	Fault      *wireFault `json:"fault,omitempty"`       // goodbye, refused
	Visit      *wireVisit `json:"visit,omitempty"`       // visit, visit_end, end_visit
	Code       fault.Code `json:"code,omitempty"`        // visit_end
}

// What idle tunnels say, which is most of all that is said, is neither made nor
// parsed each time.
const (
	pingJSON = `{"type":"ping"}`
	pongJSON = `{"type":"pong"}`
)

var pingBlock, pongBlock = mustBlock(pingJSON), mustBlock(pongJSON)

func mustBlock(s string) []byte {
	b, err := block(json.RawMessage(s), controlMax)
	if err != nil {
		panic("BUG: tunnel: " + err.Error())
	}
	return b
}

// encode is for who does not write to what it gives.
func (m message) encode() ([]byte, error) {
	switch {
	case m.Type == typePing && m.ID == 0:
		return pingBlock, nil
	case m.Type == typePong && m.ID == 0:
		return pongBlock, nil
	}
	return block(m, controlMax)
}

// parseMessage checks what the type calls for; fields of other types are
// dropped.
func parseMessage(b []byte) (message, error) {
	switch string(b) {
	case pingJSON:
		return message{Type: typePing}, nil
	case pongJSON:
		return message{Type: typePong}, nil
	}
	var t struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return message{}, fmt.Errorf("control message: %w", err)
	}
	if t.Type == "" {
		return message{}, errors.New("control message without a type")
	}
	if !known(t.Type) {
		return message{Type: t.Type}, nil
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("control message: %w", err)
	}
	out := message{Type: t.Type}
	switch t.Type {
	case typePing, typePong:
		out.ID = m.ID
	case typeStatus:
		if m.Status == nil {
			return message{}, errors.New("status without a status")
		}
		if err := m.Status.valid(); err != nil {
			return message{}, err
		}
		out.Status = m.Status
	case typePass:
		if m.Pass == "" || len(m.Pass) > helloMax {
			return message{}, errors.New("pass missing or too long")
		}
		out.Pass = m.Pass
	case typeDrain:
		if m.DeadlineMS < 0 || m.WithinMS < 0 || m.DeadlineMS > retryMax.Milliseconds() || m.WithinMS > retryMax.Milliseconds() {
			return message{}, errors.New("drain: a time is out of range")
		}
		if !validRelays(m.Relays) {
			return message{}, errors.New("drain: relays: too many, or not host:port")
		}
		out.DeadlineMS, out.WithinMS, out.Relays = m.DeadlineMS, m.WithinMS, m.Relays
	case typeHome:
		if m.DeadlineMS < 0 || m.DeadlineMS > retryMax.Milliseconds() {
			return message{}, errors.New("home: the time is out of range")
		}
		if len(m.Relays) == 0 || !validRelays(m.Relays) {
			return message{}, errors.New("home: relays: none, too many, or not host:port")
		}
		out.DeadlineMS, out.Relays = m.DeadlineMS, m.Relays
	case typeRenew:
		if m.WithinMS < 0 || m.WithinMS > retryMax.Milliseconds() {
			return message{}, errors.New("renew: the time is out of range")
		}
		out.WithinMS = m.WithinMS
	case typeGoodbye, typeRefused:
		if m.Fault == nil {
			return message{}, errors.New(t.Type + " without a fault")
		}
		f, err := m.Fault.fault()
		if err != nil {
			return message{}, err
		}
		out.Fault = toWire(f)
	case typeVisit, typeVisitEnd, typeEndVisit:
		if err := parseVisit(m, &out); err != nil {
			return message{}, err
		}
	}
	return out, nil
}

func validRelays(list []string) bool {
	return len(list) <= relaysMax && !slices.ContainsFunc(list, func(r string) bool {
		host, port, err := net.SplitHostPort(r)
		return err != nil || host == "" || port == "" || !plain(r, originMax)
	})
}

func known(t string) bool {
	switch t {
	case typeStatus, typePass, typeRefused, typeDrain, typeHome, typeRenew, typePing, typePong, typeGoodbye, typeVisit, typeVisitEnd, typeEndVisit:
		return true
	}
	return false
}

// valid keeps out what can be nobody's portal. What an origin may be on top of
// that is the edge's business.
func (s *Status) valid() error {
	if err := s.Standby.valid(); err != nil {
		return err
	}
	if !plain(s.Region, regionMax) {
		return errors.New("status: the region is too long or no text")
	}
	if s.Logins.AutoLogout < 0 || s.Logins.AutoLogout > autoLogoutMax {
		return errors.New("status: auto_logout out of range")
	}
	if len(s.Portal.Aliases) > aliasesMax {
		return errors.New("status: too many aliases")
	}
	if s.Portal.Origin != "" && !isOrigin(s.Portal.Origin) {
		return errors.New("status: the portal's origin is not scheme://host[:port]")
	}
	for _, o := range s.Portal.Aliases {
		if !isOrigin(o) {
			return errors.New("status: an alias is not scheme://host[:port]")
		}
	}
	return nil
}

func (s *Standby) valid() error {
	if s == nil {
		return nil
	}
	if s.Type != "primary" && s.Type != "secondary" || s.Role != "active" && s.Role != "standby" {
		return errors.New("status: standby: bad type or role")
	}
	if s.Claim > ClaimMax {
		return errors.New("status: standby: claim out of range")
	}
	return new(id.Serial).UnmarshalText([]byte(s.Peer))
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && plain(s, originMax) && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		s == u.Scheme+"://"+u.Host
}

func goodbye(f *fault.Error) message { return message{Type: typeGoodbye, Fault: toWire(f)} }
