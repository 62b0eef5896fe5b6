package loadtest

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets that are at most 1/32 wide: exact to a
// microsecond up to 64 us, then 32 buckets to each power of two, as HdrHistogram
// does it. A quantile is off by 3 % at most. Safe for concurrent use.
type histogram struct {
	counts [numBuckets]atomic.Int64
	total  atomic.Int64
	max    atomic.Int64 // exact, in microseconds
}

const (
	subBits    = 5
	numBuckets = (64 - subBits) << subBits
)

// bucket is where v microseconds are counted.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper is the largest value that bucket i counts.
func upper(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return uint64(i-shift<<subBits+1)<<shift - 1
}

func (h *histogram) record(d time.Duration) {
	v := max(d.Microseconds(), 0)
	h.counts[bucket(uint64(v))].Add(1)
	h.total.Add(1)
	for {
		old := h.max.Load()
		if v <= old || h.max.CompareAndSwap(old, v) {
			return
		}
	}
}

// quantile is the duration that the part q of all do not exceed, 0 if there are
// none.
func (h *histogram) quantile(q float64) time.Duration {
	total := h.total.Load()
	if total == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(total))), 1)
	var seen int64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return time.Duration(min(upper(i), uint64(h.max.Load()))) * time.Microsecond
		}
	}
	return h.longest()
}

func (h *histogram) longest() time.Duration { return time.Duration(h.max.Load()) * time.Microsecond }
