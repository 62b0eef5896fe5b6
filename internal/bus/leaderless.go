package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// leaderlessFor is how long a bucket is found without a leader before it is made anew.
// A cluster that can choose one has done so within 10 s.
const leaderlessFor = 15 * time.Second

// errLeaderless is of the time until then, too.
var errLeaderless = errors.New("bucket has no leader")

// dropLeaderless deletes a bucket that would have no leader for as long as one of its
// servers is away, though most of them are there: where one of these was started and
// had no copy yet when the leader was lost, its vote does not count (nats-server,
// server/raft.go, runAsCandidate: all have to vote then), for the leader may have had
// what no copy has. Ours are put again by their owners, so we need not wait for it.
func (b *Bus) dropLeaderless(ctx context.Context, name string) error {
	since, err := b.leaderlessSince(ctx, name)
	switch {
	case err != nil || since.IsZero():
		return err
	case time.Since(since) < b.leaderlessFor:
		return errLeaderless
	}
	if err := b.js.DeleteStream(ctx, streamOf(name)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	b.leaderless.Delete(name)
	b.metrics.remade.WithLabelValues(name).Inc()
	b.log.Warn("bucket had no leader, and is made anew: a server of NATS was lost while another had not its copies yet",
		zap.String("bucket", name), zap.Duration("after", time.Since(since)))
	return nil
}

// leaderlessSince is when the bucket was first found so, zero if it has a leader, or
// is not there. It counts only while the cluster's own leader answers: what a server
// says that is cut off from the others is no reason to delete anything.
func (b *Bus) leaderlessSince(ctx context.Context, name string) (time.Time, error) {
	_, err := b.bucket(ctx, name)
	if errors.Is(err, errLeaderless) {
		if _, err := b.js.AccountInfo(ctx); err != nil {
			b.leaderless.Delete(name)
			return time.Time{}, err
		}
		at, _ := b.leaderless.LoadOrStore(name, time.Now())
		return at.(time.Time), nil
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = nil
	}
	if err == nil {
		b.leaderless.Delete(name)
	}
	return time.Time{}, err
}

func isLeaderless(s jetstream.Stream) bool {
	c := s.CachedInfo().Cluster
	return c != nil && c.Leader == ""
}
