package result

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Recorder takes what many goroutines see at once. No lock is shared by all of
// them.
type Recorder struct {
	began time.Time
	step  time.Duration

	mu    sync.Mutex
	kinds map[string]*KindRecorder
}

// NewRecorder counts in steps from began on; what was due before it is the
// warm-up.
func NewRecorder(began time.Time, step time.Duration) *Recorder {
	return &Recorder{began: began, step: step, kinds: make(map[string]*KindRecorder)}
}

// StepAt is the step of a time, from 0 to MaxSteps-1; -1 in the warm-up.
func (r *Recorder) StepAt(t time.Time) int {
	if t.Before(r.began) {
		return -1
	}
	return int(min(t.Sub(r.began)/r.step, MaxSteps-1))
}

// Kind is the recorder of one kind of traffic. Ask once, not for each request.
func (r *Recorder) Kind(name string) *KindRecorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[name]
	if k == nil {
		k = &KindRecorder{r: r, shards: make([]shard, runtime.GOMAXPROCS(0))}
		r.kinds[name] = k
	}
	return k
}

// Kinds is what was recorded until now.
func (r *Recorder) Kinds() map[string]*Kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]*Kind, len(r.kinds))
	for name, k := range r.kinds {
		out[name] = k.kind()
	}
	return out
}

// KindRecorder is safe for concurrent use.
type KindRecorder struct {
	r        *Recorder
	shards   []shard
	inFlight atomic.Int64
}

type shard struct {
	mu    sync.Mutex
	kind  Kind
	total Tally    // of the steps
	_     [64]byte // the next shard is on another cache line
}

// Sent says that so many requests more have no answer yet; less than none, that
// they are counted now.
func (k *KindRecorder) Sent(n int64) { k.inFlight.Add(n) }

// InFlight is how many have no answer yet.
func (k *KindRecorder) InFlight() int64 { return k.inFlight.Load() }

// OK counts a request that had its whole and right answer, took after it was
// due; content is the bytes of it that were checked.
func (k *KindRecorder) OK(due time.Time, took time.Duration, content int64) {
	k.count(due, func(t *Tally) {
		t.OK++
		t.Latency.Record(took)
		t.Checked.Bytes += content
	})
}

// Failed counts a request that had not. The code is of internal/fault, or says
// in the same form what happened.
func (k *KindRecorder) Failed(due time.Time, code string) {
	k.count(due, func(t *Tally) { t.fail(code, 1) })
}

// Check counts bytes of a request that is counted otherwise.
func (k *KindRecorder) Check(due time.Time, c Checked) {
	k.count(due, func(t *Tally) { t.Checked.Add(c) })
}

func (k *KindRecorder) count(due time.Time, add func(*Tally)) {
	step := k.r.StepAt(due)
	s := &k.shards[rand.IntN(len(k.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if step < 0 {
		add(&s.kind.WarmUp)
		return
	}
	for len(s.kind.Steps) <= step {
		s.kind.Steps = append(s.kind.Steps, Tally{})
	}
	add(&s.kind.Steps[step])
	add(&s.total)
}

// Total is what was measured until now, without the warm-up.
func (k *KindRecorder) Total() (out Tally) {
	k.each(func(s *shard) { out.Add(s.total) })
	return out
}

// Since is what was measured of the steps from the given one on.
func (k *KindRecorder) Since(step int) (out Tally) {
	k.each(func(s *shard) {
		for _, t := range s.kind.Steps[min(max(step, 0), len(s.kind.Steps)):] {
			out.Add(t)
		}
	})
	return out
}

func (k *KindRecorder) kind() *Kind {
	out := &Kind{InFlight: k.InFlight()}
	k.each(func(s *shard) { out.add(s.kind) })
	return out
}

func (k *KindRecorder) each(do func(*shard)) {
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		do(s)
		s.mu.Unlock()
	}
}
