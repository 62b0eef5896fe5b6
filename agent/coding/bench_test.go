package coding_test

import (
	"fmt"
	"strings"
	"testing"
)

// What a PBX pays: for a body in reads of 32 KiB, for one that trickles, and
// for what passes.
func BenchmarkAnswer(b *testing.B) {
	text := strings.Repeat(page, 200)
	for _, c := range []struct {
		name, kind string
		piece      int
	}{{"coded", "text/html", 32 << 10}, {"coded in reads of 1 KiB", "text/html", 1 << 10}, {"coded in reads of 16 B", "text/html", 16}, {"passes", "audio/wav", 32 << 10}} {
		b.Run(c.name, func(b *testing.B) {
			body := text[:min(len(text), 1000*c.piece)]
			answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", c.kind, len(body), body)
			coder := coder()
			b.SetBytes(int64(len(answer)))
			b.ReportAllocs()
			for b.Loop() {
				w := newWorld(b, coder, ask)
				for n := 0; n < len(answer); n += c.piece {
					if err := w.say(answer[n:min(n+c.piece, len(answer))]); err != nil {
						b.Fatal(err)
					}
				}
				w.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(answer)/c.piece+1), "ns/read")
		})
	}
}
