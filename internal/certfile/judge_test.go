package certfile_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// says checks what the last warning has as its reason.
func (w *world) says(word string) {
	w.Helper()
	all := w.logs.FilterLevelExact(zap.WarnLevel).All()
	if reason, _ := all[len(all)-1].ContextMap()["error"].(string); !strings.Contains(reason, word) {
		w.Errorf("the log says %q and nothing of %s", reason, word)
	}
}

// A renewal for fewer names than clients come for is refused, whatever other names
// come and go.
func TestARenewalLosesNoName(t *testing.T) {
	dir := t.TempDir()
	issueFor(t, dir, time.Time{}, time.Hour, "first", "*.pbx.example.com", "relay-1.example.com", "spare.example.com")
	w := open(t, dir, "*.pbx.example.com", "relay-1.example.com")
	w.serves("first", 0)
	issueFor(t, dir, time.Time{}, 2*time.Hour, "forgot a name", "*.pbx.example.com")
	w.serves("first", 1)
	w.says("relay-1.example.com")
	issueFor(t, dir, time.Time{}, 2*time.Hour, "another zone", "*.example.com", "pbx.example.com")
	w.serves("first", 2)
	w.says("*.pbx.example.com")
	issueFor(t, dir, time.Time{}, 2*time.Hour, "second", "*.pbx.example.com", "*.example.com")
	w.serves("second", 2)
}

// A name that the certificate never had is told of at the start and holds up no renewal.
func TestAWrongNameAtTheStart(t *testing.T) {
	dir := t.TempDir()
	issueFor(t, dir, time.Time{}, time.Hour, "first", "old.example.com")
	w := open(t, dir, "old.example.com", "192.0.2.1")
	warned := w.logs.FilterLevelExact(zap.WarnLevel).All()
	w.logs.TakeAll()
	if len(warned) != 1 {
		t.Fatalf("warned %d times", len(warned))
	}
	if lacks, _ := warned[0].ContextMap()["lacks"].([]any); !slices.Contains(lacks, any("192.0.2.1")) || len(lacks) != 1 {
		t.Errorf("it lacks %v", lacks)
	}
	issueFor(t, dir, time.Time{}, time.Hour, "second", "old.example.com")
	w.serves("second", 0)
}

// One that is not valid yet waits until it is. One for fewer names is used once the
// one before it has expired, which nobody takes any more.
func TestARefusedPairMayHaveItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		issueFor(t, dir, time.Time{}, 3*time.Hour, "first", "a.example.com")
		w := open(t, dir, "a.example.com")
		issueFor(t, dir, time.Now().Add(time.Hour), 2*time.Hour, "second", "a.example.com")
		w.serves("first", 1)
		w.says("not valid before")
		time.Sleep(59 * time.Minute)
		w.serves("first", 1)
		time.Sleep(2 * time.Minute)
		w.serves("second", 1)

		issueFor(t, dir, time.Time{}, 3*time.Hour, "third", "b.example.com")
		w.serves("second", 2)
		w.says("a.example.com")
		time.Sleep(time.Hour)
		w.serves("third", 2)
	})
}
