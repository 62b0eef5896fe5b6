package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of JetStream and of NATS KV (ADR-8, ADR-31).
const (
	headerOp      = "KV-Operation"
	headerMarker  = "Nats-Marker-Reason"
	headerSeq     = "Nats-Sequence"
	headerSubject = "Nats-Subject"
	headerPending = "Nats-Num-Pending"
	headerStatus  = "Status"
	statusEnd     = "204"
	statusNothing = "404"
)

// A page of replay. For each the server counts what is left, and in memory goes
// through all keys for that, however few records are asked for: with a million keys
// 0.2 s of a processor. As many bytes are on their way, and come over 10 Mbit/s
// before the request is given up.
const (
	replayRecords  = 10_000
	replayMaxBytes = 4 << 20
)

// directGet asks for stored messages in order (ADR-31, batched).
type directGet struct {
	Seq      uint64 `json:"seq"`
	Batch    int    `json:"batch"`
	MaxBytes int    `json:"max_bytes"`
}

// How long a replica may lag behind the one that was asked for the bucket's state.
const (
	lagBeat  = 100 * time.Millisecond
	lagBeats = 20
)

// catchUp replays up to number to at least, which the bucket is known to have had.
// Any replica may answer, also one that does not have it yet: it is asked again.
// The record may also have expired, so that is not done for ever.
func (s *session) catchUp(ctx context.Context, seq, quiet, to uint64) error {
	for beat := 0; ; beat++ {
		if err := s.replay(ctx, seq, quiet); err != nil {
			return err
		}
		if s.last >= to || s.b.nc.ConnectedClusterName() == "" || beat == lagBeats {
			return nil
		}
		seq = s.last + 1
		pause(ctx, lagBeat)
	}
}

// replay emits what the bucket holds from number seq on, page by page, until
// nothing is left. Deletions up to number quiet are left out: nobody was told
// of what they delete. A page that takes too long is asked for again from where it
// was: a server that is too busy, or a receiver that is, is not helped by watchers
// that begin anew.
func (s *session) replay(ctx context.Context, seq, quiet uint64) error {
	for misses := 0; ; {
		next, more, err := s.replayPage(ctx, seq, quiet)
		late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		switch {
		case late && next == seq:
			if misses++; misses == maxMisses {
				return fmt.Errorf("read bucket %s: %w", s.name, err)
			}
		case err != nil && !late:
			return fmt.Errorf("read bucket %s: %w", s.name, err)
		case next == seq && more:
			return fmt.Errorf("read bucket %s: empty page", s.name)
		case !late && !more:
			return nil
		default:
			misses = 0
		}
		if late { // what still comes of that page is nobody's
			if err := s.hearAnew(); err != nil {
				return err
			}
		}
		seq = next
	}
}

// hearAnew has answers come under another name.
func (s *session) hearAnew() (err error) {
	if s.answers != nil {
		_ = s.answers.Unsubscribe() // fails on a connection that is gone, and with it the subscription
	}
	if s.answers, err = s.b.nc.SubscribeSync(s.b.nc.NewInbox()); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

func (s *session) replayPage(ctx context.Context, seq, quiet uint64) (next uint64, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.b.pageTime)
	defer cancel()
	q, err := json.Marshal(directGet{Seq: seq, Batch: replayRecords, MaxBytes: replayMaxBytes})
	if err != nil {
		return 0, false, err
	}
	if err := s.b.nc.PublishRequest(apiPrefix+"DIRECT.GET."+streamOf(s.name), s.answers.Subject, q); err != nil {
		return 0, false, err
	}
	for next = seq; ; {
		m, err := s.answers.NextMsgWithContext(ctx)
		if err != nil {
			return next, false, err
		}
		switch status := m.Header.Get(headerStatus); status {
		case "":
		case statusNothing:
			return next, false, nil
		case statusEnd:
			return next, m.Header.Get(headerPending) != "0", nil
		default:
			return 0, false, fmt.Errorf("status %q", status)
		}
		r, err := parseRecord(m, kvPrefix+s.name+".", m.Header.Get(headerSubject))
		if err != nil {
			return 0, false, err
		}
		if r.rev < next {
			return 0, false, errors.New("answer out of order")
		}
		next = r.rev + 1
		if r.kind == Delete && r.rev <= quiet {
			s.last = r.rev
			continue
		}
		s.apply(r)
	}
}

// parseRecord reads a stored message, as replay or the feed has it.
func parseRecord(m *nats.Msg, prefix, subject string) (record, error) {
	key, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return record{}, errors.New("record of another bucket")
	}
	rev, err := strconv.ParseUint(m.Header.Get(headerSeq), 10, 64)
	if err != nil {
		return record{}, errors.New("record without its number")
	}
	r := record{kind: Put, key: key, data: m.Data, rev: rev}
	if m.Header.Get(headerOp) != "" || m.Header.Get(headerMarker) != "" {
		r.kind, r.data = Delete, nil
	}
	return r, nil
}
