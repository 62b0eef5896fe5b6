package cluster

import (
	"context"
	"syscall"
)

// controlKilled is a control that dies while PBXs are being activated.
var controlKilled = Failure{
	Name: "control-killed", About: "kill -9 of one control of two in the middle of activations; started again",
	Do: func(ctx context.Context, s *Scene) error {
		m := s.controls[0]
		return s.activating(ctx, func() error {
			s.now()
			m.Kill()
			return m.Start(ctx)
		})
	},
	Judge: nothingLost,
}

// controlsRolling is an upgrade of all controls.
var controlsRolling = Failure{
	Name: "controls-rolling", About: "every control in turn, in the middle of activations: SIGTERM, and started again",
	Do: func(ctx context.Context, s *Scene) error {
		return s.activating(ctx, func() error {
			s.now()
			for _, m := range s.controls {
				if err := m.Stop(startPatience); err != nil {
					return err
				}
				if err := m.Start(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	},
	Judge: nothingLost,
}

// controlFrozen is a control that hangs with requests in its hands.
var controlFrozen = Failure{
	Name: "control-frozen", About: "SIGSTOP of one control of two in the middle of activations, and SIGCONT after a while",
	Do: func(ctx context.Context, s *Scene) error {
		m := s.controls[1]
		return s.activating(ctx, func() error {
			s.now()
			m.Signal(syscall.SIGSTOP)
			s.wait(ctx, s.Scale.Frozen)
			m.Signal(syscall.SIGCONT)
			return nil
		})
	},
	Judge: nothingLost,
}
