package bus

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Notices are neither kept nor repeated: who is away, or slow, misses some, and
// sees the next state when it asks.
const (
	// noticePrefix has what control nodes tell each other, so that a screen need
	// not be reloaded.
	noticePrefix = "trunkline.notice."
	// relaysPrefix has what control tells relays. It is where they hear the feeds
	// of buckets, of which none is called so: their accounts let them listen there,
	// and control alone speak.
	relaysPrefix = feedPrefix + "notice."
)

// maxNotices wait for their reader; what comes beyond is dropped.
const maxNotices = 4096

// Tell sends v to all control nodes that listen to the subject, this process too.
// It does not wait for anybody.
func Tell[T any](b *Bus, subject string, v T) error { return tell(b, noticePrefix, subject, v) }

// TellRelays is Tell for the relays.
func TellRelays[T any](b *Bus, subject string, v T) error { return tell(b, relaysPrefix, subject, v) }

func tell[T any](b *Bus, prefix, subject string, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell %s: encode: %w", subject, err)
	}
	if !b.Connected() {
		return b.fail("tell "+subject, errAway)
	}
	if err := b.nc.Publish(prefix+subject, data); err != nil {
		return b.fail("tell "+subject, err)
	}
	return nil
}

// Listen calls fn for each notice, one at a time, until stop is called. What
// does not decode is somebody else's version, and is left out.
func Listen[T any](b *Bus, subject string, fn func(T)) (stop func() error, err error) {
	return listen(b, noticePrefix, subject, fn)
}

// ListenAsRelay is Listen for what TellRelays tells.
func ListenAsRelay[T any](b *Bus, subject string, fn func(T)) (stop func() error, err error) {
	return listen(b, relaysPrefix, subject, fn)
}

func listen[T any](b *Bus, prefix, subject string, fn func(T)) (stop func() error, err error) {
	sub, err := b.nc.Subscribe(prefix+subject, func(m *nats.Msg) {
		var v T
		if json.Unmarshal(m.Data, &v) == nil {
			fn(v)
		}
	})
	if err != nil {
		return nil, b.fail("listen to "+subject, err)
	}
	if err := sub.SetPendingLimits(maxNotices, maxNotices*maxPayload); err != nil {
		return nil, b.fail("listen to "+subject, errors.Join(err, sub.Unsubscribe()))
	}
	return sub.Unsubscribe, nil
}
