package store_test

import (
	"slices"
	"testing"

	"trunkline/control/store"
)

// What decodes is a list in order, and is encoded so that it is the same again;
// lists with it and without it have what they say.
func FuzzRangeLists(f *testing.F) {
	f.Add([]byte{0, 1, 1, 200, 1}, []byte{1, 255, 7})
	f.Add([]byte{0}, []byte{1})
	f.Add([]byte{0, 128, 128, 128, 8}, []byte{0, 3})
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, err := store.DecodeRanges(x)
		b, err2 := store.DecodeRanges(y)
		if err != nil || err2 != nil {
			return
		}
		if !slices.IsSorted(a) || len(slices.Compact(slices.Clone(a))) != len(a) {
			t.Fatalf("%v is not ascending", a)
		}
		if again, err := store.DecodeRanges(store.EncodeRanges(a)); err != nil || !slices.Equal(again, a) {
			t.Fatalf("%v became %v, %v", a, again, err)
		}
		either, both, more := store.CombineRanges(a, b)
		for _, n := range slices.Concat(a, b) {
			inA, inB := slices.Contains(a, n), slices.Contains(b, n)
			if !slices.Contains(either, n) || slices.Contains(both, n) != (inA && inB) || !more && !inA {
				t.Errorf("%v and %v: either has %v, both have %v, more: %t", a, b, either, both, more)
			}
		}
		if !slices.IsSorted(either) || !slices.IsSorted(both) || len(either)+len(both) != len(a)+len(b) {
			t.Errorf("%v and %v: either has %v, both have %v", a, b, either, both)
		}
	})
}
