package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// relayTwin is a machine that was copied with its configuration.
var relayTwin = Failure{
	Name: "relay-twin", About: "another relay is started under the name of one that lives; it has to yield",
	Do: func(ctx context.Context, s *Scene) error {
		n := node{"twin", kindRelay, byte(len(s.relays) + 1)}
		if err := s.net.add(n); err != nil {
			return err
		}
		p, err := s.daemon(n, "relay", s.relayConfig(n, s.relays[0].name))
		if err != nil {
			return err
		}
		s.now()
		if err := p.Start(ctx); err != nil && !ended(p.Ended()) {
			return err
		}
		defer p.Kill()
		select {
		case <-p.Ended():
		case <-time.After(patience):
			return errors.New("two relays of one name live side by side")
		}
		log, err := os.ReadFile(p.Log)
		if err != nil {
			return err
		}
		if !strings.Contains(string(log), "another relay is called "+s.relays[0].name) {
			return fmt.Errorf("it ended, and its log does not say why: %s", p.Log)
		}
		s.fact("it yielded after %.0f s, and said which relay has its name", time.Since(s.hit).Seconds())
		return nil
	},
	Judge: nothingLost,
}

func ended(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}
