package peer_test

import (
	"io"
	"testing"

	"trunkline/internal/mux"
)

// What a small exchange and a long one cost on a stream between two relays, both
// ends and both TLS connections included.
func BenchmarkExchange(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			_, first, second := pair(b)
			body := random(size)
			second.admits(device(b, func(s *mux.Stream) {
				ask := make([]byte, 256)
				for {
					if _, err := io.ReadFull(s, ask); err != nil {
						return
					}
					if _, err := s.Write(body); err != nil {
						return
					}
				}
			}))
			s := first.open(question())
			ask, got := make([]byte, 256), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Write(ask); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(s, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeName(n int) string {
	if n == 1<<10 {
		return "body=1KiB"
	}
	return "body=64KiB"
}
