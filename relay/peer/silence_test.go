package peer_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/peercert"
	"trunkline/relay/peer"
)

// line is a network between two relays that can stop carrying anything, without a
// word to anybody.
type line struct {
	ln   net.Listener
	open sync.RWMutex

	mu    sync.Mutex
	conns []net.Conn
}

func newLine(t *testing.T, to net.Listener) *line {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{ln: ln}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to.Addr().String())
			if err != nil {
				c.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, c, far)
			l.mu.Unlock()
			wg.Go(func() { l.carry(far, c) })
			wg.Go(func() { l.carry(c, far) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		l.mu.Lock()
		for _, c := range l.conns {
			c.Close()
		}
		l.mu.Unlock()
		wg.Wait()
	})
	return l
}

func (l *line) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		l.open.RLock()
		_, err = to.Write(b[:n])
		l.open.RUnlock()
		if err != nil {
			return
		}
	}
}

// A relay that says nothing is in doubt after few seconds. What can be asked of
// somebody else then is, and what waits for it goes on when it answers again.
func TestARelayThatSaysNothingIsDoubted(t *testing.T) {
	a := peercert.NewAuthority(time.Now())
	first, second := start(t, a, "relay-1"), start(t, a, "relay-2")
	first.SetPing(peer.PingEvery)
	second.admits(device(t, echo))
	between := newLine(t, second.ln)
	undialled := first.lease()
	undialled.PeerVersions = []int{7}
	second.hears(undialled)
	lease := second.lease()
	lease.Peer = between.ln.Addr().String()
	first.hears(lease)
	used := func() *peer.Stream {
		s := first.open(question())
		said(t, s)
		return s
	}
	repeated, kept, elsewhere := used(), used(), question()
	moved := first.open(elsewhere)
	repeated.Repeatable(true)
	if !first.Answers("relay-2") || first.Answers("relay-3") {
		t.Error("it does not know who answers")
	}

	between.open.Lock()
	reopen := sync.OnceFunc(between.open.Unlock)
	defer reopen()
	first.mu.Lock()
	first.besides, first.moved = true, map[id.Device]id.Relay{elsewhere.Device: "relay-3"}
	first.mu.Unlock()
	for what, s := range map[string]*peer.Stream{"of what can be repeated": repeated, "of a device that is elsewhere": moved} {
		_ = s.SetReadDeadline(time.Now().Add(patience))
		if _, err := s.Read(make([]byte, 1)); fault.CodeOf(err) != fault.RelayLost {
			t.Errorf("a stream %s: %v, want %s", what, err, fault.RelayLost)
		}
	}
	eventually(t, "all links are in doubt", func() error { // each has a timer of its own
		if first.Answers("relay-2") || kept.Alive() {
			return errors.New("one is not, or its streams are used again")
		}
		return nil
	})
	reopen()
	said(t, kept)
	eventually(t, "it is in doubt no more", func() error {
		if !first.Answers("relay-2") || !kept.Alive() {
			return errors.New("it is")
		}
		return nil
	})
}

// said has a device that echoes say a word.
func said(t *testing.T, s *peer.Stream) {
	t.Helper()
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
