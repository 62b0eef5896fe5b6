package result

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The geometry of every histogram: microseconds to an hour, to two significant
// digits. A quantile is off by less than 1 %.
const (
	lowest  = 1
	highest = int64(time.Hour / time.Microsecond)
	digits  = 2
)

// Histogram counts durations. The zero value is empty. A copy shares its counts
// with the original. Not safe for concurrent use; see Recorder.
type Histogram struct{ packed *hdrhistogram.PackedHistogram }

// Record counts d; what is over an hour counts as an hour.
func (h *Histogram) Record(d time.Duration) {
	if h.packed == nil {
		h.packed = hdrhistogram.NewPacked(lowest, highest, digits)
	}
	if err := h.packed.RecordValue(min(max(d.Microseconds(), 0), highest)); err != nil {
		panic(fmt.Sprintf("BUG: record %v: %v", d, err)) // it is within the geometry
	}
}

// Add counts all of from as well.
func (h *Histogram) Add(from Histogram) {
	if from.packed == nil {
		return
	}
	if h.packed == nil {
		h.packed = hdrhistogram.NewPacked(lowest, highest, digits)
	}
	h.packed.Merge(from.packed) // nothing is dropped: there is one geometry
}

// Count is how many durations were recorded.
func (h Histogram) Count() int64 {
	if h.packed == nil {
		return 0
	}
	return h.packed.TotalCount()
}

// Quantile is the duration that the part q of all, 0 to 1, does not exceed; 0 if
// there is none.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.packed.ValueAtPercentile(100*q)) * time.Microsecond
}

// Mean is off by less than 1 %.
func (h Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.packed.Mean() * float64(time.Microsecond))
}

// Buckets are those that are not empty, with the least duration of each, in
// ascending order.
func (h Histogram) Buckets() iter.Seq2[time.Duration, int64] {
	return func(yield func(time.Duration, int64) bool) {
		if h.packed != nil {
			h.packed.ForEachBucket(func(v, n int64) bool { return yield(time.Duration(v)*time.Microsecond, n) })
		}
	}
}

// IsZero leaves an empty histogram out of JSON.
func (h Histogram) IsZero() bool { return h.Count() == 0 }

// MarshalText is HdrHistogram's V2 compressed format in base64, which other
// tools read.
func (h Histogram) MarshalText() ([]byte, error) {
	if h.packed == nil {
		return nil, errors.New("an empty histogram has no text")
	}
	return h.packed.Encode()
}

// maxHistogram bounds the text of one: all its buckets in use take less.
const maxHistogram = 64 << 10

// UnmarshalText refuses another geometry than this package's.
func (h *Histogram) UnmarshalText(b []byte) error {
	if len(b) > maxHistogram {
		return fmt.Errorf("histogram: longer than %d bytes", maxHistogram)
	}
	p, err := hdrhistogram.DecodePacked(b)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	if p.LowestTrackableValue() != lowest || p.HighestTrackableValue() != highest || p.SignificantFigures() != digits {
		return fmt.Errorf("histogram: of %d to %d in %d digits, not of %d to %d in %d", p.LowestTrackableValue(), p.HighestTrackableValue(), p.SignificantFigures(), lowest, highest, digits)
	}
	if p.TotalCount() <= 0 || p.TotalCount() > maxCount {
		return fmt.Errorf("histogram: of %d durations", p.TotalCount())
	}
	// A merge goes by buckets; so does this, and drops what else the text said.
	own := hdrhistogram.NewPacked(lowest, highest, digits)
	own.Merge(p)
	h.packed = own
	return nil
}
