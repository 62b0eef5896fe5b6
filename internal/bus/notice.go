package bus

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Notices are what control nodes tell each other so that a screen need not be
// reloaded. They are neither kept nor repeated: who is away, or slow, misses
// some, and sees the next state when it asks.
const noticePrefix = "trunkline.notice."

// maxNotices wait for their reader; what comes beyond is dropped.
const maxNotices = 4096

// Tell sends v to all that listen to the subject, this process too. It does
// not wait for anybody.
func Tell[T any](b *Bus, subject string, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tell %s: encode: %w", subject, err)
	}
	if !b.Connected() {
		return b.fail("tell "+subject, errAway)
	}
	if err := b.nc.Publish(noticePrefix+subject, data); err != nil {
		return b.fail("tell "+subject, err)
	}
	return nil
}

// Listen calls fn for each notice, one at a time, until stop is called. What
// does not decode is somebody else's version, and is left out.
func Listen[T any](b *Bus, subject string, fn func(T)) (stop func() error, err error) {
	sub, err := b.nc.Subscribe(noticePrefix+subject, func(m *nats.Msg) {
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
