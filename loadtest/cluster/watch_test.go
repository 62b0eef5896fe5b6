package cluster

import (
	"testing"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// Control has its time anew with each change of what is so, and is not judged by
// what it said while that changed.
func TestHowLongControlWasWrong(t *testing.T) {
	const on, off, unknown = controlapi.StatusConnected, controlapi.StatusDisconnected, controlapi.StatusUnknown
	type moment struct {
		at    int  // seconds
		up    bool // the tunnel, from then on
		said  string
		asked int // of said: at, if it is 0
	}
	f := func(what string, longest int, settled bool, moments ...moment) {
		t.Helper()
		began, up := time.Now(), true
		after := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
		w := &watch{devices: []*watched{newWatched("SN", func() bool { return up }, began)}}
		for _, m := range moments {
			up = m.up
			w.look(after(m.at))
			if m.said == "" {
				continue
			}
			if m.asked == 0 {
				m.asked = m.at
			}
			w.judge(map[id.Serial]string{"SN": m.said}, after(m.asked))
		}
		if got := w.devices[0].longest; got != time.Duration(longest)*time.Second || w.settled() != settled {
			t.Errorf("%s: wrong for %v, want %d s; settled %t", what, got, longest, w.settled())
		}
	}
	f("right", 0, true, moment{at: 2, up: true, said: on})
	f("slow to see a loss", 6, false, moment{at: 2, up: true, said: on}, moment{at: 3}, moment{at: 5, said: on}, moment{at: 9, said: on}, moment{at: 11, said: off})
	f("slow to see a loss, and the device is elsewhere when it does", 8, true,
		moment{at: 1}, moment{at: 9, said: on}, moment{at: 10, up: true}, moment{at: 11, up: true, said: off, asked: 9}, moment{at: 13, up: true, said: on})
	f("wrong about the one, and then about the other", 8, false,
		moment{at: 1}, moment{at: 9, said: on}, moment{at: 10, up: true}, moment{at: 12, up: true, said: off}, moment{at: 15, up: true, said: off})
	f("wrong by itself", 4, true, moment{at: 20, up: true, said: on}, moment{at: 22, up: true, said: off}, moment{at: 24, up: true, said: off}, moment{at: 26, up: true, said: on})
	f("it does not know", 0, false, moment{at: 1}, moment{at: 30, said: unknown})
	f("it does not know of one that is up", 0, false, moment{at: 2, up: true, said: unknown})
	f("it knows again", 0, true, moment{at: 2, up: true, said: unknown}, moment{at: 9, up: true, said: on})
}

// A row that ends badly says what was not well.
func TestWhatIsNotSettledIsSaid(t *testing.T) {
	now, up := time.Now(), true
	w := &watch{devices: []*watched{newWatched("SN", func() bool { return up }, now), newWatched("SN2", func() bool { return true }, now)}}
	f := func(want string, one, two string) {
		t.Helper()
		now = now.Add(time.Second)
		w.look(now)
		w.judge(map[id.Serial]string{"SN": one, "SN2": two}, now)
		if got := w.unsettled(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("", controlapi.StatusConnected, controlapi.StatusConnected)
	f("control is wrong about 1 PBXs, control does not know of 1 PBXs", controlapi.StatusUnknown, controlapi.StatusDisconnected)
	f("control does not know of 2 PBXs", controlapi.StatusUnknown, controlapi.StatusUnknown)
	up = false
	f("1 PBXs have no tunnel that works", controlapi.StatusDisconnected, controlapi.StatusConnected)
}

// Where control has to make a bucket anew it may not know for longer, and where most of
// NATS is away for as long as that is.
func TestHowLongControlMayNotKnow(t *testing.T) {
	f := func(failure Failure, seconds float64, late bool) {
		t.Helper()
		r := Row{Dark: seconds}
		if failure.judgeDark(&r); (len(r.Late) > 0) != late {
			t.Errorf("%s: %.0f s: %v", failure.Name, seconds, r.Late)
		}
	}
	f(natsNodeFrozen, 19, false)
	f(natsNodeFrozen, 21, true)
	f(natsInHaste, 44, false)
	f(natsInHaste, 46, true)
	f(natsGone, 600, false)
}

// How long control does not know counts from when it said so first to when it says
// something, or was asked last.
func TestHowLongControlDoesNotKnow(t *testing.T) {
	began := time.Now()
	w := &watch{devices: []*watched{newWatched("SN", func() bool { return true }, began)}}
	say := func(second int, said string) time.Duration {
		w.judge(map[id.Serial]string{"SN": said}, began.Add(time.Duration(second)*time.Second))
		return w.devices[0].darkest
	}
	for _, x := range []struct {
		at   int
		said string
		want int
	}{
		{2, controlapi.StatusConnected, 0}, {4, controlapi.StatusUnknown, 0}, {6, controlapi.StatusUnknown, 2}, {8, controlapi.StatusConnected, 4},
		{20, controlapi.StatusUnknown, 4}, {23, controlapi.StatusUnknown, 4}, {26, controlapi.StatusUnknown, 6},
	} {
		if got := say(x.at, x.said); got != time.Duration(x.want)*time.Second {
			t.Errorf("after %d s: %v, want %d s", x.at, got, x.want)
		}
	}
}
