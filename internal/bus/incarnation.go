package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// incarnationKey has a random text that is made when a bucket is new. Its time of
// creation would not do: a cluster remembers on its disks which buckets there
// are, and brings them back with that time, and with none of their records.
//
// It is no key of a relay's, whose keys have a dot, nor one that control writes.
const incarnationKey = "incarnation"

// errNew means that nobody has named the bucket's incarnation yet: control is
// about to.
var errNew = errors.New("bucket has no incarnation yet")

// named reports whether a bucket has an incarnation. In one whose records expire
// it would too, and nobody has a use for it there: what it holds is younger than
// any doubt.
func (b *Bus) named(name string) bool { return b.ttl(name) == 0 }

// ensureIncarnation names it if nobody has. Of several who try one succeeds.
func (b *Bus) ensureIncarnation(ctx context.Context, name string) error {
	if !b.named(name) {
		return nil
	}
	kv, err := b.js.KeyValue(ctx, name)
	if err != nil {
		return err
	}
	if _, err = kv.Get(ctx, incarnationKey); !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	// Control puts revocations again, and keys after them, when the bucket of keys is
	// new. Watchers wait for the incarnation, and relays that know no revocations wait
	// with the keys: so they see no keys that are older than the revocations.
	if name == Revocations {
		if err := b.dropKeys(ctx); err != nil {
			return err
		}
	}
	if _, err = kv.Create(ctx, incarnationKey, []byte(rand.Text())); errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	return err
}

// dropKeys deletes the bucket of keys, if that of revocations has no incarnation
// indeed: a copy that lags behind may have said so.
func (b *Bus) dropKeys(ctx context.Context) error {
	s, err := b.bucket(ctx, Revocations)
	if err != nil {
		return err
	}
	key := kvPrefix + Revocations + "." + incarnationKey
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(key))
	if err != nil || info.State.Subjects[key] > 0 {
		return err
	}
	return b.drop(ctx, Keys)
}

// incarnation is what tells this life of a bucket from others.
func (s *session) incarnation(ctx context.Context, bucket jetstream.Stream) (string, error) {
	epoch := bucket.CachedInfo().Created.UTC().Format(time.RFC3339Nano)
	if !s.b.named(s.name) {
		return epoch, nil
	}
	m, err := bucket.GetLastMsgForSubject(ctx, kvPrefix+s.name+"."+incarnationKey)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", errNew
	}
	if err != nil {
		return "", fmt.Errorf("read incarnation of bucket %s: %w", s.name, err)
	}
	s.life = string(m.Data)
	return epoch + "/" + s.life, nil
}
