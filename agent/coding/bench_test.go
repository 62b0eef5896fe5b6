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

// looped says the same for ever.
type looped struct {
	stream
	say []byte
}

func (l *looped) Read(b []byte) (int, error)  { return copy(b, l.say), nil }
func (l *looped) Write(b []byte) (int, error) { return len(b), nil }

// What reading along costs one small exchange that passes as it is.
func BenchmarkExchange(b *testing.B) {
	l := &looped{say: []byte(strings.Replace(ask, "\r\n\r\n", "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Language: en\r\nReferer: https://pbx/\r\nCookie: sid=0123456789abcdef\r\n\r\n", 1))}
	c := coder().Wrap(l, true)
	buf := make([]byte, 32<<10)
	answer := []byte("HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 22:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 512\r\nConnection: keep-alive\r\n\r\n" + page[:512])
	b.ReportAllocs()
	for b.Loop() {
		if n, err := c.Read(buf); n != len(l.say) || err != nil {
			b.Fatal(n, err)
		}
		if _, err := c.Write(answer); err != nil {
			b.Fatal(err)
		}
	}
}
