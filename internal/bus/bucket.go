package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var errTooLarge = fmt.Errorf("record larger than %d bytes", maxValue)

// Bucket holds records of one type as JSON. Safe for concurrent use.
//
// While the server is away, or the bucket does not exist, every method but
// Watch fails at once or within seconds with a fault unavailable.
type Bucket[T any] struct {
	b    *Bus
	name string

	mu sync.Mutex
	kv jetstream.KeyValue // nil until first used; survives a new incarnation
}

// NewBucket names a bucket; it neither creates it nor looks for it.
func NewBucket[T any](b *Bus, name string) *Bucket[T] {
	return &Bucket[T]{b: b, name: name}
}

// Put stores v whatever was there, and returns its revision.
func (k *Bucket[T]) Put(ctx context.Context, key string, v T) (uint64, error) {
	return k.write(ctx, "put", key, v, func(kv jetstream.KeyValue, data []byte) (uint64, error) {
		return kv.Put(ctx, key, data)
	})
}

// Create stores v unless the key exists: ErrExists.
func (k *Bucket[T]) Create(ctx context.Context, key string, v T) (uint64, error) {
	return k.write(ctx, "create", key, v, func(kv jetstream.KeyValue, data []byte) (uint64, error) {
		return kv.Create(ctx, key, data)
	})
}

// Update stores v if rev is still the key's revision: ErrConflict.
func (k *Bucket[T]) Update(ctx context.Context, key string, v T, rev uint64) (uint64, error) {
	return k.write(ctx, "update", key, v, func(kv jetstream.KeyValue, data []byte) (uint64, error) {
		return kv.Update(ctx, key, data, rev)
	})
}

// Get returns the record and its revision, or ErrNotFound.
func (k *Bucket[T]) Get(ctx context.Context, key string) (T, uint64, error) {
	var v T
	op := "get " + k.name
	kv, err := k.bind(ctx)
	if err != nil {
		return v, 0, k.b.fail(op, err)
	}
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) && k.b.nc.ConnectedClusterName() != "" {
		// Any replica answers, also one that has not heard of a new key yet.
		pause(ctx, lagBeat)
		e, err = kv.Get(ctx, key)
	}
	if err != nil {
		return v, 0, k.b.fail(op, err)
	}
	if err := decode(e.Value(), &v); err != nil {
		var none T
		return none, 0, fmt.Errorf("%s: decode: %w", op, err)
	}
	return v, e.Revision(), nil
}

// Delete removes the key; one that is not there is no error.
func (k *Bucket[T]) Delete(ctx context.Context, key string) error { return k.delete(ctx, key) }

// DeleteAt removes the key if rev is still its revision: ErrConflict.
func (k *Bucket[T]) DeleteAt(ctx context.Context, key string, rev uint64) error {
	return k.delete(ctx, key, jetstream.WithExpectLastSequencePerSubject(rev))
}

func (k *Bucket[T]) delete(ctx context.Context, key string, opts ...jetstream.PublishOpt) error {
	op := "delete " + k.name
	if !k.b.Connected() {
		return k.b.fail(op, errAway)
	}
	if !validKey(key) {
		return k.b.fail(op, jetstream.ErrInvalidKey)
	}
	m := nats.NewMsg(kvPrefix + k.name + "." + key)
	m.Header.Set(headerOp, "DEL")
	if k.b.ttl(k.name) == 0 {
		opts = append(opts, jetstream.WithMsgTTL(deletedFor))
	}
	_, err := k.b.js.PublishMsg(ctx, m, opts...)
	if isWrongRevision(err) {
		err = jetstream.ErrKeyRevisionMismatch
	}
	return k.b.fail(op, err)
}

// Keys of handovers and visits are as good as secrets, so errors name the
// bucket only.
func (k *Bucket[T]) write(ctx context.Context, verb, key string, v T, do func(jetstream.KeyValue, []byte) (uint64, error)) (uint64, error) {
	op := verb + " " + k.name
	data, err := json.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("%s: encode: %w", op, err)
	}
	if len(data) > maxValue-maxHeaders {
		return 0, k.b.fail(op, errTooLarge)
	}
	kv, err := k.bind(ctx)
	if err != nil {
		return 0, k.b.fail(op, err)
	}
	rev, err := do(kv, data)
	return rev, k.b.fail(op, err)
}

// decode refuses null, which would leave a record of zeros.
func decode(data []byte, into any) error {
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return errors.New("record is null")
	}
	return json.Unmarshal(data, into)
}

// maxHeaders is what maxValue leaves to the headers of a write.
const maxHeaders = 1 << 10

func (k *Bucket[T]) bind(ctx context.Context) (jetstream.KeyValue, error) {
	if !k.b.Connected() {
		return nil, errAway
	}
	k.mu.Lock()
	kv := k.kv
	k.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := k.b.js.KeyValue(ctx, k.name)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.kv = kv
	k.mu.Unlock()
	return kv, nil
}

// validKey is NATS's rule for a literal key.
func validKey(key string) bool {
	if key == "" || len(key) > 1024 {
		return false
	}
	token := 0
	for i := range len(key) {
		switch c := key[i]; {
		case c == '.':
			if token == 0 {
				return false
			}
			token = 0
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '/', c == '=':
			token++
		default:
			return false
		}
	}
	return token > 0
}

// Kind says what an Event is about.
type Kind int

const (
	Put    Kind = iota // Key has Value at Rev
	Delete             // Key is gone since Rev, or expired
	Reset              // forget all that this watch told: a snapshot of Epoch follows
	Synced             // the snapshot is complete, but if Behind
)

// Event is one step of a Watch.
type Event[T any] struct {
	Kind  Kind
	Key   string
	Value T
	Rev   uint64 // of Put and Delete; comparable within an Epoch
	Epoch string // the bucket's incarnation, in every event
	// Behind is of Synced: the copy that was read may lack the last records, so what is
	// not there proves nothing.
	Behind bool
}

// Watch calls fn, always from the calling goroutine, until ctx ends, which is
// no error, or the Bus is closed: ErrClosed.
//
// It begins with Reset, then Put for each record (and Delete for what is deleted
// meanwhile), then Synced, then every change. It begins anew whenever the connection was lost or the bucket was
// recreated; a new Epoch tells the latter. While the server is away nothing is
// called: what the receiver knows stays. A receiver that must not be without
// records between Reset and Synced keeps the old ones until Synced.
//
// A key that changes quickly may skip states, never the last. A record that
// does not decode is logged and skipped.
func (k *Bucket[T]) Watch(ctx context.Context, fn func(Event[T])) error {
	if !validKey(k.name) {
		return errors.New("BUG: watch: bad bucket name")
	}
	epoch := ""
	return k.b.watch(ctx, k.name, func(r record) {
		e := Event[T]{Kind: r.kind, Key: r.key, Rev: r.rev, Behind: r.behind}
		switch r.kind {
		case Reset:
			epoch = r.epoch
		case Put:
			if err := decode(r.data, &e.Value); err != nil {
				k.b.skipped(k.name, err)
				return
			}
		}
		e.Epoch = epoch
		fn(e)
	})
}
