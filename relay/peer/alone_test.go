package peer_test

import (
	"errors"
	"testing"
	"time"

	"trunkline/internal/peercert"
)

// A relay whose name may be another's dials none in that name: it would be asked for
// PBXs that the other has.
func TestARelayThatMayYieldDialsNone(t *testing.T) {
	a := peercert.NewAuthority(time.Now())
	alone := make(chan struct{})
	second := start(t, a, "relay-2")
	dialled := func() error {
		second.mu.Lock()
		defer second.mu.Unlock()
		if len(second.conns) == 0 {
			return errors.New("no connection")
		}
		return nil
	}
	maybe := startAs(t, a, "relay-1", alone)
	maybe.hears(second.lease())
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if dialled() == nil {
			t.Fatal("it dials before it knows that it is alone")
		}
	}
	close(alone)
	eventually(t, "it dials", dialled)
}
