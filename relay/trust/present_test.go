package trust

import (
	"encoding/json"
	"slices"
	"testing"

	"trunkline/internal/bus"
)

// Keys that were withdrawn while the bus could not be heard are found missing, in the
// same bucket. Of another bucket, which control has yet to fill, none is.
func TestKeysWithdrawnUnseen(t *testing.T) {
	var p present
	say := func(kind bus.Kind, epoch, key string) []string {
		t.Helper()
		return p.apply(bus.Event[json.RawMessage]{Kind: kind, Epoch: epoch, Key: key})
	}
	snapshot := func(epoch string, want []string, keys ...string) {
		t.Helper()
		say(bus.Reset, epoch, "")
		for _, k := range keys {
			say(bus.Put, epoch, k)
		}
		got := say(bus.Synced, epoch, "")
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s with %q: withdrawn %q, want %q", epoch, keys, got, want)
		}
	}
	snapshot("e1", nil, "a", "b", "c")
	say(bus.Put, "e1", "d")
	say(bus.Delete, "e1", "a") // heard
	snapshot("e1", []string{"b", "d"}, "c")
	say(bus.Reset, "e1", "") // and lost again before it is whole
	say(bus.Put, "e1", "e")
	snapshot("e1", []string{"c", "e"}, "f")
	say(bus.Reset, "e1", "") // of a copy that lacks the last records
	if got := p.apply(bus.Event[json.RawMessage]{Kind: bus.Synced, Epoch: "e1", Behind: true}); got != nil {
		t.Errorf("withdrawn by a copy that is behind: %q", got)
	}
	snapshot("e1", []string{"f"}, "h")
	snapshot("e2", nil)
	snapshot("e2", nil, "f", "g")
	snapshot("e2", []string{"g"}, "f")
}
