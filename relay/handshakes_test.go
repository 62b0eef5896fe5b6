package relay_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/relay"
)

// shaken is a connection that counts as closed.
type shaken struct {
	net.Conn
	closed bool
}

func (c *shaken) Close() error { c.closed = true; return nil }

// Agents that come in crowds leave room for browsers, and those of them that
// stand still make room for others; who waits for the relay does not.
func TestAgentsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := relay.NewHandshakes(0, nobody)
		comes := func() *shaken {
			c := new(shaken)
			if !h.Begin(c) {
				t.Fatal("no room")
			}
			h.GoesOn(c)
			return c
		}
		still, waits := comes(), comes()
		for _, c := range []*shaken{still, waits} {
			if why := h.HeardAgent(c); why != "" {
				t.Fatal(why)
			}
		}
		h.GoesOn(still)
		for range relay.MaxTunnelHandshakes - 2 {
			h.HeardAgent(comes())
		}
		if why := h.HeardAgent(comes()); why != "full" {
			t.Errorf("one agent too many: %q", why)
		}
		for range relay.MaxHandshakes - relay.MaxTunnelHandshakes - 1 {
			h.Heard(comes())
		}
		time.Sleep(3 * time.Second)
		c := comes()
		if !still.closed || waits.closed {
			t.Errorf("closed: the one that stood still %v, the one that waited %v", still.closed, waits.closed)
		}
		if why := h.HeardAgent(c); why != "" {
			t.Errorf("in its stead: %q", why)
		}
	})
}

// Full is not for long, and whoever comes then is not turned away at once.
func TestRoomIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := relay.NewHandshakes(0, nobody)
		last := fill(h)
		began := time.Now()
		if h.Begin(new(shaken)) || time.Since(began) != 500*time.Millisecond {
			t.Errorf("beyond the bound, after %v", time.Since(began))
		}
		go func() {
			time.Sleep(100 * time.Millisecond)
			h.End(last)
		}()
		began = time.Now()
		if !h.Begin(new(shaken)) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("when one has gone, after %v", time.Since(began))
		}
	})
}

// Those who stand still make room when they have done so for long enough: who
// says nothing at all soon, who has said hello and goes no further later; the
// oldest goes first, and no more go than have to.
func TestStandingStillMakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		hello bool
		still time.Duration
	}{"silent": {false, 500 * time.Millisecond}, "slow": {true, 2 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := relay.NewHandshakes(0, nobody)
				all := make([]*shaken, relay.MaxHandshakes)
				for i := range all {
					all[i] = new(shaken)
					h.Begin(all[i])
					h.GoesOn(all[i])
					if c.hello {
						h.Heard(all[i])
					}
				}
				time.Sleep(c.still - 600*time.Millisecond)
				if c.hello && h.Begin(new(shaken)) { // waits for 500 ms
					t.Error("room is made too soon")
				}
				time.Sleep(100 * time.Millisecond)
				if !h.Begin(new(shaken)) {
					t.Error("no room is made")
				}
				for i, x := range all {
					if x.closed != (i == 0) {
						t.Fatalf("of %d, the %d. is closed: %v", len(all), i+1, x.closed)
					}
				}
			})
		})
	}
}

// Agents that wait make room for who may be a browser.
func TestAgentsArePushedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h relay.Handshakes
		var waits *shaken
		h = relay.NewHandshakes(0, func() bool {
			h.End(waits) // as its own goroutine does
			return true
		})
		waits = fill(h)
		if began := time.Now(); !h.Begin(new(shaken)) || time.Since(began) != 0 {
			t.Errorf("no room, after %v", time.Since(began))
		}
	})
}

// fill takes in as many as there may be, and gives the last.
func fill(h relay.Handshakes) (last *shaken) {
	for range relay.MaxHandshakes {
		last = new(shaken)
		h.Begin(last)
		h.Heard(last)
	}
	return last
}

func nobody() bool { return false }

func TestRateOfAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := relay.NewHandshakes(10, nobody)
		admitted := func() (n int) {
			for range 50 {
				c := new(shaken)
				h.Begin(c)
				if why := h.HeardAgent(c); why == "" {
					n++
				} else if why != "rate" {
					t.Error(why)
				}
				h.End(c)
			}
			return n
		}
		if n := admitted(); n != 10 {
			t.Errorf("at once: %d", n)
		}
		time.Sleep(300 * time.Millisecond)
		if n := admitted(); n != 3 {
			t.Errorf("in 0.3 s: %d", n)
		}
		time.Sleep(time.Hour)
		if n := admitted(); n != 10 {
			t.Errorf("after long: %d", n)
		}
	})
}
