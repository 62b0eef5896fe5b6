package crew

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/service"
	"trunkline/loadtest"
	"trunkline/loadtest/result"
)

// member is a generator that has joined, as the coordinator knows it.
type member struct {
	name   string
	heard  time.Time
	state  string
	failed string // why, in stateFailed
	live   loadtest.Live
	lost   string // why nothing more is expected of it

	turn   int // of the result whose pieces these are
	pieces [][]byte
	have   int
	seen   *result.Result // nil: it has reported nothing
}

func (m *member) over() bool { return m.state == stateReported || m.state == stateFailed }

const maxName = 150

func (c *Coordinator) join(_ context.Context, q joinRequest) (joinAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case q.Version != service.Version:
		return joinAnswer{}, fault.New(fault.VersionMismatch, "This generator is of version %.100q and the coordinator of %q: use the same.", q.Version, service.Version)
	case len(c.members) == c.want:
		return joinAnswer{}, fault.New(fault.LimitReached, "The run has its %d generators already.", c.want)
	case q.Name == "" || len(q.Name) > maxName:
		return joinAnswer{}, fault.New(fault.Invalid, "The generator has no name, or too long a one.")
	}
	name := fmt.Sprintf("%d %s", len(c.members)+1, q.Name)
	c.members = append(c.members, &member{name: name, heard: time.Now(), state: stateIdle})
	return joinAnswer{ID: len(c.members) - 1}, nil
}

func (c *Coordinator) memberLocked(id int) (*member, error) {
	if id < 0 || id >= len(c.members) {
		return nil, fault.New(fault.NotFound, "No generator of this run has that number.")
	}
	return c.members[id], nil
}

// next tells a generator what to do. It does no harm to be told twice.
func (c *Coordinator) next(_ context.Context, q nextRequest) (nextAnswer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.memberLocked(q.ID)
	if err != nil {
		return nextAnswer{}, err
	}
	m.heard, m.state, m.live, m.failed = time.Now(), q.State, q.Live, q.Error
	a := nextAnswer{End: c.end || m.lost != "", Bye: m.over()}
	if c.order != nil && m.state == stateIdle && len(c.members) == c.want {
		o := c.order
		s, first := o.Scenario.Share(q.ID, c.want)
		a.Part = &part{
			Scenario: s, Text: o.Text, First: first, Tag: o.Tag,
			Server: o.Target.Server, CA: c.ca, Token: o.Target.Token, Ways: o.Target.Ways,
		}
	}
	if !c.began.IsZero() && m.state == stateReady {
		a.Begin = &begin{Within: time.Until(c.began), Began: c.began}
	}
	return a, nil
}

// keep puts the pieces of a generator's result together.
func (c *Coordinator) keep(_ context.Context, p piece) (nothing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.memberLocked(p.ID)
	if err != nil {
		return nothing{}, err
	}
	if p.Of < 1 || p.Of > maxPieces || p.Index < 0 || p.Index >= p.Of || len(p.Data) > pieceSize {
		return nothing{}, fault.New(fault.Invalid, "That is no piece of a result.")
	}
	m.heard = time.Now()
	if p.Turn != m.turn || len(m.pieces) != p.Of {
		m.turn, m.pieces, m.have = p.Turn, make([][]byte, p.Of), 0
	}
	if m.pieces[p.Index] == nil {
		m.pieces[p.Index] = p.Data
		m.have++
	}
	if m.have < p.Of {
		return nothing{}, nil
	}
	r, err := unpack(bytes.Join(m.pieces, nil))
	m.pieces, m.have = nil, 0
	if err != nil {
		return nothing{}, fault.New(fault.Invalid, "The result cannot be read: %v.", err)
	}
	m.seen = r
	return nothing{}, nil
}

func unpack(b []byte) (*result.Result, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return result.Read(io.LimitReader(z, result.MaxSize+1))
}

func pack(r *result.Result) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := r.Write(z); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
