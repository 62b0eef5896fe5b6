package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// leaderlessFor is how long a bucket is found without a leader, look after look,
	// before it is made anew. A cluster that can choose one has done so within 10 s.
	leaderlessFor = 15 * time.Second
	// lookGap is how long ago the last look may be. Whoever stood still for longer has
	// seen two elections, and not one that does not end.
	lookGap = 11 * time.Second
	// youngFor is how many times as old a bucket has to be: servers that are too busy to
	// choose a leader are not helped by another bucket.
	youngFor = 4
)

// errLeaderless is what readers and writers get until there is a leader, or another bucket.
var errLeaderless = errors.New("bucket has no leader")

// codeOffline is a server's "stream is offline": all servers of a bucket are away.
const codeOffline = 10118

// lead is what control saw of a bucket when it looked for its leader, and there was
// none.
type lead struct {
	created     time.Time // of the bucket; zero where it is offline
	since, last time.Time // it was found so
}

// dropLeaderless deletes a bucket that would have no leader for as long as one of its
// servers is away, though most of them are there: where one of these was started and
// had no copy yet when the leader was lost, its vote does not count (nats-server,
// server/raft.go, runAsCandidate: all have to vote then), for the leader may have had
// what no copy has. Ours are put again by their owners, so we need not wait for it.
func (b *Bus) dropLeaderless(ctx context.Context, name string) error {
	led, err := b.look(ctx, name)
	if !errors.Is(err, errLeaderless) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	}
	now := time.Now()
	if now.Sub(led.since) < b.leaderlessFor || now.Sub(led.created) < youngFor*b.leaderlessFor {
		return errLeaderless
	}
	// Another control may just have done it.
	if again, err := b.leaderless(ctx, name); !errors.Is(err, errLeaderless) || !again.Equal(led.created) {
		return errLeaderless
	}
	b.metrics.remade.WithLabelValues(name).Inc()
	b.log.Warn("bucket has no leader, and is made anew: a server of NATS was lost while another had not its copies yet",
		zap.String("bucket", name), zap.Duration("after", now.Sub(led.since)))
	return b.drop(ctx, name)
}

func (b *Bus) drop(ctx context.Context, name string) error {
	err := b.js.DeleteStream(ctx, streamOf(name))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// look finds out since when a bucket has no leader: errLeaderless. It counts only
// while the cluster's own leader answers: what a server says that is cut off from the
// others is no reason to delete anything.
func (b *Bus) look(ctx context.Context, name string) (lead, error) {
	created, err := b.leaderless(ctx, name)
	if errors.Is(err, errLeaderless) {
		if _, unasked := b.js.AccountInfo(ctx); unasked != nil {
			err = unasked
		}
	}
	if !errors.Is(err, errLeaderless) {
		b.leads.Delete(name)
		return lead{}, err
	}
	was, _ := b.leads.Load(name)
	led, _ := was.(lead)
	now := time.Now()
	if !led.created.Equal(created) || now.Sub(led.last) > lookGap {
		led = lead{created: created, since: now}
	}
	led.last = now
	b.leads.Store(name, led)
	return led, errLeaderless
}

// leaderless is when a bucket was made that has no leader now: errLeaderless.
func (b *Bus) leaderless(ctx context.Context, name string) (created time.Time, err error) {
	s, err := b.bucket(ctx, name)
	api := (*jetstream.APIError)(nil)
	switch {
	case errors.Is(err, errLeaderless):
		return s.CachedInfo().Created, err
	case errors.As(err, &api) && api.ErrorCode == codeOffline:
		return time.Time{}, errLeaderless
	default:
		return time.Time{}, err
	}
}

func isLeaderless(s jetstream.Stream) bool {
	c := s.CachedInfo().Cluster
	return c != nil && c.Leader == ""
}
