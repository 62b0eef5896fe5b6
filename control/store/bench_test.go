package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
)

// BenchmarkLists compares each list of 100,000 devices with that of 1,000, all in
// one account or spread over ten, as the store reads it and as control answers it
// over HTTP: the medians in milliseconds, and how many times the smaller one's the
// larger one's is. The two take turns, so that whatever else the machine does slows
// both. A pattern fills only the databases that it names.
func BenchmarkLists(b *testing.B) {
	for _, database := range []string{"sqlite", "postgres"} {
		for _, resellers := range []int{0, 9} {
			b.Run(fmt.Sprintf("%s/%d_accounts", database, resellers+1), func(b *testing.B) {
				few, many := filled(b, database, 1_000, resellers), filled(b, database, 100_000, resellers)
				b.Run("store", func(b *testing.B) {
					for _, l := range deviceLists {
						compare(b, l.name, few, many, storeList(l.DeviceQuery, l.next))
					}
					for _, l := range otherLists {
						compare(b, l.name, few, many, func(b *testing.B, f *benched) {
							if err := f.View(b.Context(), func(tx fleet.Tx) error { return l.read(tx, f) }); err != nil {
								b.Fatal(err)
							}
						})
					}
				})
				b.Run("api", func(b *testing.B) {
					for _, l := range deviceLists {
						compare(b, l.name, few, many, apiList(l.DeviceQuery, l.next))
					}
				})
				b.Run("http", func(b *testing.B) {
					for _, p := range pages {
						compare(b, p.name, few, many, p.ask)
					}
				})
			})
		}
	}
}

func compare(b *testing.B, name string, few, many *benched, read func(*testing.B, *benched)) {
	b.Run(name, func(b *testing.B) {
		took := func(f *benched) float64 {
			var began time.Time
			for range 3 { // the first ones bring back what the other's reads drove out of the processor's caches
				began = time.Now()
				read(b, f)
			}
			return float64(time.Since(began)) / float64(time.Millisecond)
		}
		var small, large []float64
		for b.Loop() {
			small, large = append(small, took(few)), append(large, took(many))
		}
		b.ReportMetric(0, "ns/op") // of both together: it says nothing
		b.ReportMetric(median(small), "ms/1000")
		b.ReportMetric(median(large), "ms/100000")
		b.ReportMetric(median(large)/median(small), "times")
	})
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
