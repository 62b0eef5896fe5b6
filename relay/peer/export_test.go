package peer

import (
	"context"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/id"
	"trunkline/internal/peercert"
)

// SetPing is for links that are made from then on.
func (p *Peers) SetPing(every time.Duration) { p.ping.Store(int64(every)) }

// PingEvery is what it is otherwise.
const PingEvery = pingEvery

// AskMost is how long a relay waits at most between two questions that fail.
const AskMost = askMost

// KeepCertificateForTest has a relay ask for certificates until ctx ends.
func KeepCertificateForTest(ctx context.Context, self id.Relay, root peercert.Root, ask func(context.Context, []byte) ([]byte, error), log *zap.Logger) error {
	i := newIdentity(self, ask, log)
	i.setRoots([]peercert.Root{root})
	return i.run(ctx)
}
