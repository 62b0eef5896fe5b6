package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// HandoverTTL is how long a handover is on the bus, by its server's clock.
	HandoverTTL = 2 * time.Minute
	// maxValue bounds one record, its NATS headers included.
	maxValue = 32 << 10
	// deletedFor is how long a deletion stays readable, for watchers that
	// missed the announcement.
	deletedFor = time.Hour
)

// maxRecords bounds the buckets by number and not by bytes: JetStream reserves
// bytes in advance, and small servers do not have them.
var maxRecords = map[string]int64{
	Routes:      2_000_000,
	Relays:      4_096,
	Keys:        4_096,
	Revocations: 1_000_000,
	Handovers:   100_000,
	Alive:       16,
}

// buckets are those that relays read.
func buckets() []string { return []string{Routes, Relays, Keys, Revocations, Handovers} }

// EnsureBuckets creates what is missing of all buckets, brings the others to the
// present settings, and makes those anew that have been without a leader for long.
// Any control may call it at any time, and has to every few seconds: after the server
// came back empty, and for the replicas that a smaller cluster had no room for.
//
// Each bucket is asked for by itself: one that does not answer holds up no other. But
// revocations come first, since the keys have to be new where they are.
func (b *Bus) EnsureBuckets(ctx context.Context) error {
	first := b.tryBucket(ctx, Revocations)
	others := slices.DeleteFunc(append(buckets(), Alive), func(name string) bool { return name == Revocations })
	errs := make([]error, len(others))
	var wg sync.WaitGroup
	for i, name := range others {
		wg.Go(func() { errs[i] = b.tryBucket(ctx, name) })
	}
	wg.Wait()
	return errors.Join(append(errs, first)...)
}

func (b *Bus) tryBucket(ctx context.Context, name string) error {
	err := errAway
	if b.Connected() {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		err = b.ensureBucket(ctx, name)
	} else {
		b.leads.Delete(name) // this is no look
	}
	return b.fail("create bucket "+name, err)
}

// clusterReplicas is how many nodes of a cluster hold each bucket, so that one of
// them may fall.
const clusterReplicas = 3

func (b *Bus) ensureBucket(ctx context.Context, name string) error {
	if err := b.dropLeaderless(ctx, name); err != nil {
		return err
	}
	c := b.stream(name)
	if b.nc.ConnectedClusterName() != "" {
		c.Replicas = clusterReplicas
	}
	_, err := b.js.CreateOrUpdateStream(ctx, c)
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) && api.ErrorCode == codeNoPeers {
		// A cluster with fewer nodes, or some are down. What is there stays as it
		// is, and where there is nothing one replica is better than none; it gets
		// the others when this is called again.
		if _, err = b.js.Stream(ctx, c.Name); errors.Is(err, jetstream.ErrStreamNotFound) {
			c.Replicas = 1
			_, err = b.js.CreateStream(ctx, c)
		}
	}
	if err != nil {
		return err
	}
	return b.ensureIncarnation(ctx, name)
}

// codeNoPeers is a server's "no suitable peers for placement".
const codeNoPeers = 10005

// stream is a NATS KV bucket (ADR-8) but for three things. It announces what
// it stored, with sequence numbers, on feedPrefix, which costs the server one
// publish however many watch, and no consumer state. Its deletions expire. And
// it allows no roll-ups: with one header on a route of its own a relay could
// wipe the whole bucket.
//
// Handovers are not announced: nobody watches them, and all relays would hear of
// visits that are none of theirs.
func (b *Bus) stream(name string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: streamOf(name), Subjects: []string{kvPrefix + name + ".>"},
		Storage: jetstream.MemoryStorage, Replicas: 1,
		MaxMsgsPerSubject: 1, MaxMsgs: maxRecords[name], MaxMsgSize: maxValue, MaxBytes: -1,
		Discard: jetstream.DiscardNew, DenyDelete: true, AllowDirect: true,
		MaxAge: b.ttl(name),
	}
	if name != Handovers {
		c.RePublish = announcements(name)
	}
	// Where all records expire, deletions do too. Letting a writer choose
	// would let it outlive the others, and expiry is told by age (watch.go).
	c.AllowMsgTTL = c.MaxAge == 0
	if c.MaxAge > 0 {
		c.Duplicates = min(c.MaxAge, time.Minute)
	} else {
		c.Duplicates = time.Minute
	}
	return c
}

func announcements(name string) *jetstream.RePublish {
	return &jetstream.RePublish{Source: kvPrefix + name + ".>", Destination: feedPrefix + name + ".>"}
}

func (b *Bus) ttl(name string) time.Duration {
	switch name {
	case Relays:
		return b.leaseTTL
	case Handovers:
		return HandoverTTL
	default:
		return 0
	}
}

// bucket is one with its state as the server has it now. With errLeaderless it is as
// some server has it.
func (b *Bus) bucket(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := b.js.Stream(ctx, streamOf(name))
	if err != nil {
		return nil, fmt.Errorf("read state of bucket %s: %w", name, err)
	}
	if isLeaderless(s) {
		return s, fmt.Errorf("read state of bucket %s: %w", name, errLeaderless)
	}
	return s, nil
}
