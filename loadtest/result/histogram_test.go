package result_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trunkline/loadtest/result"
)

// Any split of durations over histograms that are written, read and added has
// the quantiles of all of them, to one per cent.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(1, 200), rapid.Int64Range(1, 36e8)), 1, 200).Draw(t, "us")
		cut := rapid.IntRange(0, len(us)).Draw(t, "cut")
		q := rapid.SampledFrom([]float64{0.5, 0.9, 0.99, 1}).Draw(t, "q")
		var all result.Histogram
		for _, part := range [][]int64{us[:cut], us[cut:]} {
			var h, again result.Histogram
			for _, v := range part {
				h.Record(time.Duration(v) * time.Microsecond)
			}
			if h.IsZero() {
				continue
			}
			text, err := h.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if err := again.UnmarshalText(text); err != nil {
				t.Fatal(err)
			}
			all.Add(again)
		}
		slices.Sort(us)
		// HdrHistogram's rank is the nearest one.
		exact := float64(us[max(min(int(q*float64(len(us))+0.5), len(us))-1, 0)])
		if got := float64(all.Quantile(q).Microseconds()); math.Abs(got-exact) > exact/100+1 {
			t.Fatalf("quantile %v of %v is %v, exactly %v", q, us, got, exact)
		}
		n := int64(0)
		for _, c := range all.Buckets() {
			n += c
		}
		if n != int64(len(us)) || all.Count() != n {
			t.Fatalf("%d in buckets, %d counted, of %d", n, all.Count(), len(us))
		}
	})
}

func TestEmptyHistogram(t *testing.T) {
	var h result.Histogram
	h.Add(result.Histogram{})
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Count() != 0 || !h.IsZero() {
		t.Error("nothing is something")
	}
	if _, err := h.MarshalText(); err == nil {
		t.Error("an empty histogram is written")
	}
	h.Record(-time.Second)
	h.Record(48 * time.Hour)
	if got := h.Quantile(1); got < 59*time.Minute || got > 61*time.Minute {
		t.Errorf("the longest is %v", got)
	}
}

func FuzzHistogram(f *testing.F) {
	var h result.Histogram
	h.Record(time.Second)
	text, err := h.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("HISTFAAAAB542pNpmSzMwMDAxQABzFCaEUoz2X+AsADkVQJ/"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h result.Histogram
		if h.UnmarshalText(b) != nil {
			if !h.IsZero() {
				t.Error("a refused histogram is not empty")
			}
			return
		}
		text, err := h.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again result.Histogram
		if err := again.UnmarshalText(text); err != nil || again.Count() != h.Count() || again.Quantile(0.5) != h.Quantile(0.5) {
			t.Errorf("%v; %d became %d", err, h.Count(), again.Count())
		}
	})
}
