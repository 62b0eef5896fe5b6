package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/loadtest/clock"
)

// natsNodeKilled takes one node of three: what is on the bus is on the others.
var natsNodeKilled = Failure{
	Name: "nats-node-killed", About: "kill -9 of one nats-server of three; started again after a while",
	Do: func(ctx context.Context, s *Scene) error {
		m := s.nats[0]
		s.now()
		m.Kill()
		s.wait(ctx, s.Scale.Cut)
		return m.Start(ctx)
	},
	Judge: nothingLost,
}

// natsNodeFrozen stops each node in turn, which tells nobody: whoever is connected to
// it, and what it leads, has to go elsewhere.
var natsNodeFrozen = Failure{
	Name: "nats-node-frozen", About: "SIGSTOP of each nats-server of three in turn, and SIGCONT after a while",
	Do: func(ctx context.Context, s *Scene) error {
		s.now()
		for _, m := range s.nats {
			m.Signal(syscall.SIGSTOP)
			s.wait(ctx, s.Scale.Frozen)
			m.Signal(syscall.SIGCONT)
			for m.Ready(ctx) != nil && clock.Sleep(ctx, lookEvery) {
			}
			s.wait(ctx, caughtUp)
		}
		return ctx.Err()
	},
	Judge: nothingLost,
}

// caughtUp is what a nats-server gets to have what was said without it, before the next
// one is stopped: it takes two of three to say something.
const caughtUp = 10 * time.Second

// natsGone takes all of NATS. It comes back with an empty memory, and knows from
// its disk which buckets there were.
var natsGone = Failure{
	Name: "nats-gone", About: "kill -9 of all nats-servers; started again after a while, their memory empty",
	Blind: true,
	Do:    func(ctx context.Context, s *Scene) error { return s.withoutNATS(ctx, func() error { return nil }) },
	Judge: nothingLost,
}

// natsNew takes its disk too.
var natsNew = Failure{
	Name: "nats-new", About: "kill -9 of all nats-servers; started again after a while, memory and disk empty",
	Blind: true,
	Do: func(ctx context.Context, s *Scene) error {
		return s.withoutNATS(ctx, func() error {
			return all(s.nats, func(m *member) error { return os.RemoveAll(s.path(m.name)) })
		})
	},
	Judge: nothingLost,
}

// natsFrozen is NATS that takes connections and words, and answers nothing.
var natsFrozen = Failure{
	Name: "nats-frozen", About: "SIGSTOP of all nats-servers, and SIGCONT after a while",
	Blind: true,
	Do: func(ctx context.Context, s *Scene) error {
		revoked, err := s.endedVisit(ctx)
		if err != nil {
			return err
		}
		s.now()
		for _, m := range s.nats {
			m.Signal(syscall.SIGSTOP)
		}
		err = s.notKnown(ctx)
		s.wait(ctx, time.Until(s.hit.Add(s.Scale.Frozen)))
		for _, m := range s.nats {
			m.Signal(syscall.SIGCONT)
		}
		return errors.Join(err, s.stillHolds(ctx, revoked, "NATS was awake"))
	},
	Judge: nothingLost,
}

// natsMinority leaves one of three, which takes nothing alone.
var natsMinority = Failure{
	Name: "nats-minority", About: "kill -9 of two nats-servers of three; started again after a while",
	Blind: true,
	Do: func(ctx context.Context, s *Scene) error {
		revoked, err := s.endedVisit(ctx)
		if err != nil {
			return err
		}
		s.now()
		two := s.nats[:2]
		_ = all(two, func(m *member) error { m.Kill(); return nil })
		err = s.notKnown(ctx)
		s.wait(ctx, time.Until(s.hit.Add(s.Scale.Cut)))
		if err := errors.Join(err, all(two, func(m *member) error { return m.Start(ctx) })); err != nil {
			return err
		}
		return s.stillHolds(ctx, revoked, "NATS was whole")
	},
	Judge: nothingLost,
}

// natsInHaste takes one node when another was started and has none of its copies yet, as
// who upgrades them too fast does. The two that are there cannot choose leaders for what
// the lost one led; control has to make that anew.
var natsInHaste = Failure{
	Name: "nats-in-haste", About: "kill -9 of two nats-servers of three; one is started again, and the other when visits can be opened without it",
	Dark: madeAnew,
	Do: func(ctx context.Context, s *Scene) error {
		revoked, err := s.endedVisit(ctx)
		if err != nil {
			return err
		}
		s.now()
		_ = all(s.nats[:2], func(m *member) error { m.Kill(); return nil })
		if err = s.nats[0].Start(ctx); err == nil {
			s.fact("the one that was started had all its copies after %.1f s", time.Since(s.hit).Seconds())
			err = s.stillHolds(ctx, revoked, "it had them, and the other was away")
		}
		if err := errors.Join(err, s.nats[1].Start(ctx)); err != nil {
			return err
		}
		// One that was told again all that control knows, and nothing else.
		relay := s.relays[0]
		if err := errors.Join(relay.Stop(s.Scale.Drain.Deadline+startPatience), relay.Start(ctx)); err != nil {
			return err
		}
		return errors.Join(s.refusedBy(ctx, relay, revoked), s.stillHolds(ctx, revoked, "NATS was whole, and a relay was started"))
	},
	Judge: nothingLost,
}

// madeAnew is how long control may not know where a bucket has no leader. It makes that
// anew when it has found it so for 15 s, look after look, and relays have to fill it then.
const madeAnew = 45 * time.Second

// notKnown waits until control says of every PBX that its status is not known.
func (s *Scene) notKnown(ctx context.Context) error {
	q := controlapi.DeviceQuery{PageQuery: controlapi.PageQuery{Limit: 1}}
	for {
		page, err := s.API.Devices(ctx, q)
		after := time.Since(s.hit)
		switch {
		case err == nil && len(page.Items) == 1 && page.Items[0].Status == controlapi.StatusUnknown:
			s.fact("control said that it does not know after %.1f s", after.Seconds())
			if after > excused {
				s.late = append(s.late, fmt.Sprintf("that was more than %v", excused))
			}
			return nil
		case after > patience || !clock.Sleep(ctx, lookEvery):
			return fmt.Errorf("control says of a PBX what it cannot know: %w", cmp.Or(err, errKnown))
		}
	}
}

var errKnown = errors.New("it does not say that it does not know")

func (s *Scene) withoutNATS(ctx context.Context, meanwhile func() error) error {
	revoked, err := s.endedVisit(ctx)
	if err != nil {
		return err
	}
	s.now()
	_ = all(s.nats, func(m *member) error { m.Kill(); return nil })
	err = s.notKnown(ctx)
	s.wait(ctx, time.Until(s.hit.Add(s.Scale.NATSAway)))
	if err := errors.Join(err, meanwhile(), all(s.nats, func(m *member) error { return m.Start(ctx) })); err != nil {
		return err
	}
	return s.stillHolds(ctx, revoked, "NATS was back")
}
