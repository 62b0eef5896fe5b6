package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SetTimesForTest shortens the lease and the watchers' check.
func (b *Bus) SetTimesForTest(lease, check time.Duration) { b.leaseTTL, b.checkEvery = lease, check }

// SetPageTimeForTest shortens the time that a page of a bucket may take.
func (b *Bus) SetPageTimeForTest(page time.Duration) { b.pageTime = page }

// ConnForTest lets a test say what no method of Bus says.
func (b *Bus) ConnForTest() *nats.Conn { return b.nc }

// DropBucketForTest deletes a bucket behind everybody's back.
func (b *Bus) DropBucketForTest(ctx context.Context, name string) error {
	return b.js.DeleteStream(ctx, streamOf(name))
}

// MuteForTest stores the bucket's records from now on without announcing
// them, as if the announcements were lost.
func (b *Bus) MuteForTest(ctx context.Context, name string) error {
	c := b.stream(name)
	c.RePublish = &jetstream.RePublish{Source: kvPrefix + name + ".>", Destination: "lost." + name + ".>"}
	_, err := b.js.UpdateStream(ctx, c)
	return err
}

// AnnounceForTest has the bucket announce its records, as all did once.
func (b *Bus) AnnounceForTest(ctx context.Context, name string) error {
	c := b.stream(name)
	c.RePublish = announcements(name)
	_, err := b.js.UpdateStream(ctx, c)
	return err
}

var ParseRecordForTest = func(m *nats.Msg, prefix, subject string) (key string, rev uint64, deleted bool, err error) {
	r, err := parseRecord(m, prefix, subject)
	return r.key, r.rev, r.kind == Delete, err
}

// MaxRunningForTest is how many handlers of one subject run at a time.
const MaxRunningForTest = maxRunning

// SetLeaderlessForTest shortens the time that a bucket may be without a leader.
func (b *Bus) SetLeaderlessForTest(d time.Duration) { b.leaderlessFor = d }

// DecodeForTest is how records are read.
var DecodeForTest = decode
