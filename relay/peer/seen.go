package peer

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"sync"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
)

// seenTime is how long other relays are waited for. A browser may wait with us.
const seenTime = 2 * time.Second

// Seen asks all other relays for how long a visit has been idle there, and returns the
// shortest time, or the first that is below limit; false if none serves it, or says so
// in time.
func (p *Peers) Seen(ctx context.Context, v id.Visit, limit time.Duration) (time.Duration, bool) {
	ctx, cancel := context.WithTimeout(ctx, seenTime)
	defer cancel()
	var mu sync.Mutex // guards idle and ok: who answers late writes them when this is over
	var idle time.Duration
	var ok bool
	var asked sync.WaitGroup
	p.each(func(q *peer) {
		l, _ := q.best()
		if l == nil || l.doubted.Load() {
			return
		}
		asked.Add(1)
		go func() {
			defer asked.Done()
			d, err := l.askSeen(ctx, v)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !ok || d < idle {
				idle, ok = d, true
			}
			if idle < limit {
				cancel() // nobody is waited for any more
			}
		}()
	})
	all := make(chan struct{})
	go func() { asked.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done(): // a relay that hangs may hold up whoever writes to it for longer
	}
	mu.Lock()
	defer mu.Unlock()
	return idle, ok
}

// Serves asks r whether it serves a visit. An error is that it did not say.
func (p *Peers) Serves(ctx context.Context, r id.Relay, v id.Visit) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, seenTime)
	defer cancel()
	q := p.find(r)
	if q == nil {
		return false, away(r)
	}
	l, _ := q.best()
	if l == nil {
		return false, away(r)
	}
	_, err := l.askSeen(ctx, v)
	if fault.CodeOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

func (l *link) askSeen(ctx context.Context, v id.Visit) (time.Duration, error) {
	b, err := Notice{Kind: seen, Visit: v}.header(l.peers.o.Relay).encode()
	if err != nil {
		return 0, err
	}
	s, err := l.mux.Open(ctx.Done())
	if err != nil {
		return 0, err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(past) })()
	if _, err := s.Write(b); err != nil {
		return 0, err
	}
	if err := readReply(s); err != nil {
		return 0, err
	}
	var ms [4]byte
	if _, err := io.ReadFull(s, ms[:]); err != nil {
		return 0, unfinished(err)
	}
	return time.Duration(binary.BigEndian.Uint32(ms[:])) * time.Millisecond, nil
}

// answerSeen owns s.
func (l *link) answerSeen(s *mux.Stream, v id.Visit) {
	if idle, ok := l.peers.o.Seen(v); ok {
		ms := min(max((idle+time.Millisecond-1).Milliseconds(), 0), math.MaxUint32) // never later than it was
		s.Post(binary.BigEndian.AppendUint32([]byte{replyAccepted}, uint32(ms)))
	} else {
		s.Post(encodeRefusal(fault.New(fault.NotFound, "This relay does not serve that visit.")))
	}
	_ = s.Close()
}
