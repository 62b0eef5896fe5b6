package trust_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/token"
	"trunkline/relay/trust"
)

// visiting is somebody in a portal, whose page may poll.
type visiting struct {
	*world
	t      *testing.T
	visit  token.Visit
	cookie string
}

func visits(t *testing.T) *visiting {
	w := newWorld(t)
	v := w.newVisit()
	g, err := w.redeem(w.grant(v), v.Site)
	if err != nil {
		t.Fatal(err)
	}
	return &visiting{world: w, t: t, visit: v, cookie: g.Cookie}
}

// ask is a request as a browser makes it, which keeps the newest cookie.
func (v *visiting) ask(a trust.Activity, key uint64) (trust.Guest, error) {
	g, err := v.AdmitVisit(v.cookie, v.visit.Site, a, key)
	if g.Cookie != "" {
		v.cookie = g.Cookie
	}
	return g, err
}

// idleAfter is when the visit has ended while step is repeated; zero if it has
// not within an hour.
func (v *visiting) idleAfter(step func() (time.Duration, error)) time.Duration {
	v.t.Helper()
	for began := v.now(); v.now().Sub(began) < time.Hour; {
		gap, err := step()
		if err != nil {
			want(v.t, err, fault.VisitIdle)
			return v.now().Sub(began)
		}
		v.advance(gap)
	}
	return 0
}

func TestPollingDoesNotKeepAVisit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, gap := range map[string]func() time.Duration{
		"every 2 s":                     func() time.Duration { return 2 * time.Second },
		"every 10 s":                    func() time.Duration { return 10 * time.Second },
		"every minute":                  func() time.Duration { return time.Minute },
		"jittered, 20 to 40 s":          func() time.Duration { return 20*time.Second + time.Duration(rng.Int64N(int64(20*time.Second))) },
		"long polls of up to 30 s":      func() time.Duration { return 13*time.Second + time.Duration(rng.Int64N(int64(17*time.Second))) },
		"all the time":                  func() time.Duration { return 50 * time.Millisecond * time.Duration(1+rng.IntN(20)) },
		"every 5 s, in a throttled tab": func() time.Duration { return []time.Duration{5 * time.Second, 6 * time.Second}[rng.IntN(2)] },
	} {
		v := visits(t)
		got := v.idleAfter(func() (time.Duration, error) {
			_, err := v.ask(trust.Asked, 7)
			if err == nil {
				_, err = v.ask(trust.Passive, 8) // what the page shows
			}
			return gap(), err
		})
		if limit := v.visit.Idle + 6*time.Minute; got < v.visit.Idle || got > limit {
			t.Errorf("%s: ended after %s, want from %s to %s", name, got, v.visit.Idle, limit)
		}
	}
}

func TestPeopleKeepAVisit(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	steps := map[string]func(v *visiting) (time.Duration, error){
		"clicking through pages": func(v *visiting) (time.Duration, error) {
			_, err := v.ask(trust.Person, 0)
			return 14 * time.Minute, err
		},
		"working in one form of a script's page": func(v *visiting) (time.Duration, error) {
			_, err := v.ask(trust.Asked, 9)
			return []time.Duration{20 * time.Second, 3 * time.Minute, 12 * time.Minute, time.Minute}[rng.IntN(4)], err
		},
		"something new now and then, beside a poll": func(v *visiting) (time.Duration, error) {
			var err error
			for range 60 {
				if _, err = v.ask(trust.Asked, 7); err != nil {
					break
				}
				v.advance(10 * time.Second)
			}
			if err == nil {
				_, err = v.ask(trust.Asked, rng.Uint64())
			}
			return 0, err
		},
	}
	for name, step := range steps {
		v := visits(t)
		if got := v.idleAfter(func() (time.Duration, error) { return step(v) }); got != 0 {
			t.Errorf("%s: put out after %s", name, got)
		}
	}
}

// A transfer that a person began may take longer than the idle time.
func TestLongTransferIsNoIdleness(t *testing.T) {
	v := visits(t)
	g, err := v.ask(trust.Person, 0)
	if err != nil || g.Busy == nil {
		t.Fatal(g, err)
	}
	for range 6 {
		v.advance(10 * time.Minute)
		g.Busy()
	}
	if _, err := v.ask(trust.Asked, 1); err != nil {
		t.Error(err)
	}
	if g, err := v.ask(trust.Passive, 2); err != nil || g.Busy != nil {
		t.Errorf("what a page does by itself counts as busy: %v", err)
	}
}

// Messages of a WebSocket: heartbeats are polling, what a person types is not.
func TestMessages(t *testing.T) {
	v := visits(t)
	g, err := v.ask(trust.Person, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.idleAfter(func() (time.Duration, error) {
		g.Spoke(5)
		_, err := v.ask(trust.Passive, 0)
		return 25 * time.Second, err
	}); got == 0 {
		t.Error("heartbeats kept the visit")
	}
	v = visits(t)
	if g, err = v.ask(trust.Person, 0); err != nil {
		t.Fatal(err)
	}
	for _, gap := range []time.Duration{time.Second, 10 * time.Minute, 3 * time.Second, 14 * time.Minute, 40 * time.Second, 9 * time.Minute} {
		v.advance(gap)
		g.Spoke(5)
	}
	if _, err := v.ask(trust.Passive, 0); err != nil {
		t.Errorf("somebody typed, and yet: %v", err)
	}
}

// A hostile page cannot make the relay remember more than a little.
func TestManyKeys(t *testing.T) {
	v := visits(t)
	for k := range uint64(2_000) {
		if _, err := v.ask(trust.Asked, k); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.KeysForTest(v.visit.ID); n > 64 {
		t.Errorf("%d keys are remembered", n)
	}
}
