package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"trunkline/internal/fault"
)

var (
	ErrExists   = errors.New("key exists")
	ErrConflict = errors.New("key was changed by somebody else")
	ErrNotFound = errors.New("key not found")
	// ErrNobody: nobody serves what was asked for.
	ErrNobody = nats.ErrNoResponders
	// ErrClosed ends what waits on a Bus that its owner closed.
	ErrClosed = errors.New("bus is closed")
)

var errAway = errors.New("not connected")

// away are the errors that say nothing about the request.
var away = []error{
	errAway, errLeaderless, context.DeadlineExceeded,
	nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded,
	nats.ErrTimeout, nats.ErrNoResponders, nats.ErrNoServers, nats.ErrStaleConnection,
	jetstream.ErrNoStreamResponse, jetstream.ErrBucketNotFound, jetstream.ErrStreamNotFound, jetstream.ErrJetStreamNotEnabled,
}

// fail makes NATS's error ours: a sentinel, or a fault unavailable or
// too_large, or err itself. After unavailable a write may yet have happened.
func (b *Bus) fail(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return fmt.Errorf("%s: %w", op, ErrConflict)
	case errors.Is(err, jetstream.ErrKeyExists):
		return fmt.Errorf("%s: %w", op, ErrExists)
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return fmt.Errorf("%s: %w", op, ErrNotFound)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, errTooLarge):
		return fmt.Errorf("%s: %w", op, fault.New(fault.TooLarge, "The message is too large for the bus."))
	}
	for _, a := range away {
		if errors.Is(err, a) {
			return fmt.Errorf("%s: %w: %w", op, unavailable(), err)
		}
	}
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) && api.Code == 503 {
		return fmt.Errorf("%s: %w: %w", op, unavailable(), err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// isWrongRevision: the key has another revision than was expected. A bucket with
// replicas says so by a code of its own.
func isWrongRevision(err error) bool {
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func unavailable() *fault.Error {
	return fault.New(fault.Unavailable, "A part of the service cannot be reached just now. Try again in a moment.").After(maxBackoff)
}
