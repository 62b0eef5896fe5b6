package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// maxQueued bounds the announcements that wait for a watcher's callback. What
// does not fit is dropped by the client and read from the bucket later.
const maxQueued = 8192

// maxMisses is how many checks, or requests for a page, may go unanswered before a
// watch begins anew.
const maxMisses = 3

var (
	errLost      = errors.New("connection lost")
	errRecreated = errors.New("bucket recreated")
	errForgot    = errors.New("bucket was not heard of for so long that deletions are forgotten there")
)

// record is an Event before its value is decoded.
type record struct {
	kind  Kind
	key   string
	data  []byte
	rev   uint64
	epoch string // of Reset

	behind bool // of Synced
}

// session is one subscription of a watcher, on one connection and to one
// incarnation of the bucket; until it is synced, on one connection after another.
//
// The bucket numbers what it stores without gaps and announces each record with
// its number. So a watcher that has seen all up to `last` knows from the next
// number whether it missed something, and reads that from the bucket. What was
// announced last and lost is found by check.
type session struct {
	b    *Bus
	name string
	emit func(record)

	live    chan *nats.Msg
	answers *nats.Subscription // to replay's requests
	created time.Time          // of the bucket
	life    string             // its incarnation; "" if it has none
	epoch   string             // of its Reset
	begun   time.Time          // when Reset was emitted
	quiet   uint64             // the bucket's last number then
	heard   time.Time          // when the bucket's state last came
	synced  bool
	last    uint64 // all up to this number was emitted
	misses  int    // checks in a row that got no answer
	// expiring has the number of each key in a bucket whose records expire, and
	// is nil for others. Expiry is not announced, but it is by age, so what is
	// older than the bucket's first number is gone.
	expiring map[string]uint64
}

func (b *Bus) watch(ctx context.Context, name string, emit func(record)) error {
	s := &session{b: b, name: name, emit: emit}
	for attempt := 0; ; attempt++ {
		lost, err := b.awaitLink(ctx)
		if err == nil {
			err = s.once(ctx, lost)
		}
		if s.synced {
			attempt = 0
		}
		if s.synced || errors.Is(err, errRecreated) {
			s = &session{b: b, name: name, emit: emit}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case b.isClosed():
			return ErrClosed
		case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, errNew), errors.Is(err, errLeaderless):
			b.log.Debug("bucket is not there yet", zap.String("bucket", name), zap.Error(err))
		default:
			b.metrics.restarts.WithLabelValues(name).Inc()
			b.log.Warn("watch begins anew", zap.String("bucket", name), zap.Uint64("at", s.last), zap.Error(err))
		}
		pause(ctx, backoff(attempt))
	}
}

// once runs the session to the end of a connection.
func (s *session) once(ctx context.Context, lost <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-lost:
			cancel(errLost)
		case <-ctx.Done():
		}
	})
	s.live = make(chan *nats.Msg, maxQueued)
	sub, err := s.b.nc.ChanSubscribe(feedPrefix+s.name+".>", s.live)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails on a connection that is gone, and with it the subscription
	if err := s.hearAnew(); err != nil {
		return err
	}
	defer func() { _ = s.answers.Unsubscribe() }()

	if err = s.snapshot(ctx); err == nil {
		err = s.follow(ctx)
	}
	if errors.Is(context.Cause(ctx), errLost) {
		err = errLost
	}
	return err
}

// snapshot emits Reset, what the bucket holds, and Synced. One that did not get to
// its end goes on where it was: a server that is too busy for a million records
// must not be asked for the first of them again and again.
func (s *session) snapshot(ctx context.Context) error {
	// The server must have the subscription before it is asked for its state,
	// or a change between the two would be noticed late.
	fctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := s.b.nc.FlushWithContext(fctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	bucket, err := s.b.bucket(ctx, s.name)
	if err != nil {
		return err
	}
	info := bucket.CachedInfo()
	epoch, err := s.incarnation(ctx, bucket)
	if err != nil {
		return err
	}
	if !s.goesOn(info, epoch) {
		s.begin(info, epoch)
	}
	if err := s.catchUp(ctx, s.last+1, s.quiet, info.State.LastSeq); err != nil {
		return err
	}
	behind := s.last < info.State.LastSeq && s.b.nc.ConnectedClusterName() != ""
	s.last = max(s.last, info.State.LastSeq)
	// Had the bucket been recreated meanwhile, this would be a mixture.
	if bucket, err = s.b.bucket(ctx, s.name); err != nil {
		return err
	}
	if info = bucket.CachedInfo(); !info.Created.Equal(s.created) || info.State.LastSeq < s.last {
		return errRecreated
	}
	s.synced = true
	s.emit(record{kind: Synced, behind: behind})
	s.b.whole.Store(s.name, time.Now())
	return nil
}

// goesOn reports whether what was emitted is the beginning of what the bucket
// holds, and no deletion since can have been forgotten there.
func (s *session) goesOn(info *jetstream.StreamInfo, epoch string) bool {
	return s.epoch == epoch && info.Created.Equal(s.created) && info.State.LastSeq >= s.last && time.Since(s.begun) < deletedFor/2
}

func (s *session) begin(info *jetstream.StreamInfo, epoch string) {
	s.created, s.heard = info.Created, time.Now()
	s.epoch, s.begun, s.quiet, s.last = epoch, time.Now(), info.State.LastSeq, 0
	if info.Config.MaxAge > 0 {
		s.expiring = make(map[string]uint64)
	}
	s.emit(record{kind: Reset, epoch: epoch})
}

// follow emits changes until the session ends.
func (s *session) follow(ctx context.Context) error {
	check := time.NewTimer(s.untilCheck())
	defer check.Stop()
	for {
		select {
		case m := <-s.live:
			if err := s.announced(ctx, m); err != nil {
				return err
			}
		case <-check.C:
			if err := s.check(ctx); err != nil {
				return err
			}
			check.Reset(s.untilCheck())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *session) untilCheck() time.Duration {
	return s.b.checkEvery*3/4 + rand.N(s.b.checkEvery/2)
}

// announced takes the next record from the feed.
func (s *session) announced(ctx context.Context, m *nats.Msg) error {
	r, err := parseRecord(m, feedPrefix+s.name+".", m.Subject)
	if err != nil {
		return err
	}
	if s.isNewLife(r) { // whatever its number
		return errRecreated
	}
	if r.rev > s.last+1 {
		if err := s.catchUp(ctx, s.last+1, 0, r.rev); err != nil {
			return err
		}
	}
	if r.rev <= s.last {
		return nil // the snapshot or a replay had it
	}
	s.apply(r)
	return nil
}

// isNewLife reports whether a record says that the bucket is another one now.
func (s *session) isNewLife(r record) bool {
	return r.key == incarnationKey && s.life != "" && r.kind == Put && string(r.data) != s.life
}

// check compares what was emitted with the bucket.
func (s *session) check(ctx context.Context) error {
	asked := time.Now()
	bucket, err := s.b.bucket(ctx, s.name)
	if errors.Is(err, errLeaderless) {
		return nil // what there was still holds, until there is a leader or another bucket
	}
	if err != nil {
		// A server that is too busy to answer is not helped by watchers that
		// ask for everything again.
		if s.misses++; s.misses < maxMisses && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	}
	s.misses = 0
	info := bucket.CachedInfo()
	if !info.Created.Equal(s.created) || info.State.LastSeq < s.last {
		return errRecreated
	}
	if time.Since(s.heard) > deletedFor/2 {
		return errForgot
	}
	s.heard = asked
	if info.State.LastSeq > s.last && len(s.live) == 0 {
		if err := s.catchUp(ctx, s.last+1, 0, info.State.LastSeq); err != nil {
			return err
		}
		s.last = max(s.last, info.State.LastSeq)
	}
	if s.last >= info.State.LastSeq {
		s.b.whole.Store(s.name, asked)
	}
	for key, rev := range s.expiring {
		if rev < info.State.FirstSeq {
			delete(s.expiring, key)
			s.emit(record{kind: Delete, key: key, rev: rev})
		}
	}
	return nil
}

func (s *session) apply(r record) {
	s.last = r.rev
	if r.key == incarnationKey && s.life != "" {
		return // ours, not the receiver's
	}
	if s.expiring != nil {
		if r.kind == Put {
			s.expiring[r.key] = r.rev
		} else {
			delete(s.expiring, r.key)
		}
	}
	s.emit(r)
}

// skipped says neither key nor value: both may be secret.
func (b *Bus) skipped(bucket string, err error) {
	b.log.Warn("record does not decode and is skipped", zap.String("bucket", bucket), zap.Error(err))
}
