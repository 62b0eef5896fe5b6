package loadtest_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trunkline/loadtest"
)

// A quantile is never less than the exact one, and at most 1/32 more.
func TestQuantilesAreExactToAThirtySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 200), rapid.Int64Range(0, 1e9), rapid.Int64Range(0, math.MaxInt64/1000)), 1, 200).Draw(t, "us")
		q := rapid.SampledFrom([]float64{0.001, 0.5, 0.9, 0.99, 1}).Draw(t, "q")
		var ds []time.Duration
		for _, v := range us {
			ds = append(ds, time.Duration(v)*time.Microsecond)
		}
		got, longest := loadtest.Quantiles(ds, q)
		slices.Sort(ds)
		exact := ds[max(int(math.Ceil(q*float64(len(ds))))-1, 0)]
		if got[0] < exact || got[0]-exact > exact/32 {
			t.Fatalf("quantile %v of %v is %v, exactly %v", q, ds, got[0], exact)
		}
		if longest != ds[len(ds)-1] {
			t.Fatalf("longest is %v, not %v", longest, ds[len(ds)-1])
		}
	})
}

func TestQuantileOfNothing(t *testing.T) {
	if got, longest := loadtest.Quantiles(nil, 0.5); got[0] != 0 || longest != 0 {
		t.Errorf("got %v, %v", got, longest)
	}
}
