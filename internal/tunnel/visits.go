package tunnel

import (
	"errors"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Visit is somebody's visit to the device, as the PBX's side is told of it.
type Visit struct {
	ID      id.Visit
	Who     string // the person's name and e-mail
	Method  string // how the person is signed in at the portal
	Started time.Time
	Idle    time.Duration // ends after this long without an operation
}

// visitLong bounds a visit's idle time on the wire.
const visitLong = 24 * time.Hour

// wireVisit is a Visit in JSON; of one that ends there is only the ID.
type wireVisit struct {
	ID      id.Visit  `json:"id"`
	Who     string    `json:"who,omitempty"`
	Method  string    `json:"method,omitempty"`
	Started time.Time `json:"started,omitzero"`
	IdleS   int64     `json:"idle_s,omitempty"`
}

func (v Visit) wire() *wireVisit {
	return &wireVisit{
		ID: v.ID, Who: cut(v.Who, whoMax), Method: v.Method, Started: v.Started.UTC().Round(0), IdleS: int64(v.Idle / time.Second),
	}
}

func (w *wireVisit) visit() Visit {
	return Visit{ID: w.ID, Who: w.Who, Method: w.Method, Started: w.Started, Idle: time.Duration(w.IdleS) * time.Second}
}

func (w *wireVisit) named() error {
	if w == nil {
		return errors.New("a visit's message without a visit")
	}
	return new(id.Visit).UnmarshalText([]byte(w.ID))
}

func (w *wireVisit) valid() error {
	if err := w.named(); err != nil {
		return err
	}
	if !plain(w.Who, whoMax) || !plain(w.Method, nameMax) {
		return errors.New("visit: a text is too long or none")
	}
	if w.Started.IsZero() || w.Started.Year() > 9999 {
		return errors.New("visit: it has no beginning")
	}
	if w.IdleS < 0 || w.IdleS > int64(visitLong/time.Second) {
		return errors.New("visit: idle_s out of range")
	}
	return nil
}

// parseVisit fills out from m, which is of one of the visits' types.
func parseVisit(m message, out *message) error {
	if m.Type == typeVisit {
		if err := m.Visit.valid(); err != nil {
			return err
		}
		m.Visit.Started = m.Visit.Started.UTC()
		out.Visit = m.Visit
		return nil
	}
	if err := m.Visit.named(); err != nil {
		return err
	}
	out.Visit = &wireVisit{ID: m.Visit.ID}
	if m.Type == typeVisitEnd {
		if !validCode(m.Code) {
			return errors.New("visit_end without a code")
		}
		out.Code = m.Code
	}
	return nil
}

// SendVisit queues, for the PBX's side, that somebody visits the device.
func (r *Relay) SendVisit(v Visit) error {
	w := v.wire()
	if err := w.valid(); err != nil {
		return err
	}
	return r.post(message{Type: typeVisit, Visit: w})
}

// SendVisitEnd queues that a visit is over, and why.
func (r *Relay) SendVisitEnd(v id.Visit, code fault.Code) error {
	return r.post(message{Type: typeVisitEnd, Visit: &wireVisit{ID: v}, Code: code})
}

// EndVisit queues the wish of the PBX's staff that a visit ends.
func (a *Agent) EndVisit(v id.Visit) error {
	return a.post(message{Type: typeEndVisit, Visit: &wireVisit{ID: v}})
}
