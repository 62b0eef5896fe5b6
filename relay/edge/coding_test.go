package edge_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"trunkline/agent/coding"
)

// script is a portal that answers request n with the bytes of answers[n], and
// goes on, in order or not, as a hostile or a broken one does.
type script struct {
	answers [][]byte
	closes  map[int]bool
}

func (s *script) serve(c net.Conn, r *bufio.Reader) {
	for {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimPrefix(q.URL.Path, "/"))
		if err != nil || n >= len(s.answers) {
			return
		}
		if _, err := c.Write(s.answers[n]); err != nil || s.closes[n] {
			return
		}
	}
}

// through is an agent between relay and portal: with a coder, or as a wire.
func through(t *testing.T, s *script, c *coding.Coder) (addr string) {
	portal := rawPortal(t, s.serve)
	return rawPortal(t, func(stream net.Conn, _ *bufio.Reader) {
		conn, err := net.Dial("tcp", portal)
		if err != nil {
			return
		}
		var finish func() error
		if c != nil {
			w := c.Wrap(stream, true)
			stream, finish = w, w.Finish
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(conn, onlyReader{stream})
			conn.Close()
		})
		if _, err := io.Copy(onlyWriter{stream}, onlyReader{conn}); err == nil && finish != nil {
			_ = finish()
		}
		stream.Close()
		conn.Close()
		wg.Wait()
	})
}

type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// oddAnswers are answers as portals give them, and as they should not, each
// with a body that names it.
func oddAnswers(r *rand.Rand, n int) *script {
	s := &script{closes: make(map[int]bool)}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for i := range n {
		body := strings.Repeat(fmt.Sprintf("<p>This is answer %d.</p>\n", i), 1+r.IntN(80)*r.IntN(2)*r.IntN(3))
		nl := pick("\r\n", "\r\n", "\r\n", "\n")
		status := pick("200 OK", "200 OK", "200 OK", "200 OK", "200", "404 Not Found", "204 No Content", "205 Reset Content", "304 Not Modified", "206 Partial Content", "2000 OK", "200  ")
		var b bytes.Buffer
		line := func(l string) { b.WriteString(l + nl) }
		if r.IntN(8) == 0 {
			b.WriteString("HTTP/1.1 103 Early Hints" + nl + "Link: </x>" + nl + nl)
		}
		line("HTTP/1." + pick("1", "1", "1", "1", "0") + " " + status)
		line("Content-Type: " + pick("text/html", "text/html", "text/html", "image/png"))
		if r.IntN(4) == 0 {
			line(pick("ETag: \"x\"", "Vary: Cookie", "X-A: b"+nl+" folded", "X-A : b", "X-A: \x01", "Cache-Control: no-transform", "Content-Encoding: identity", ": x", "X"))
		}
		if r.IntN(4) == 0 {
			line("Connection: " + pick("close", "keep-alive", "Keep-Alive, X-A", "content-type"))
		}
		wrong := r.IntN(5) == 0
		s.closes[i] = wrong // else whoever waits for more waits for long
		length := func() {
			k := len(body)
			if wrong {
				k += r.IntN(5) - 2
			}
			line("Content-Length: " + pick("", "", "", "", "", "", "+", "0x") + strconv.Itoa(k))
		}
		chunks := func() string {
			var c strings.Builder
			for rest := body; rest != ""; {
				k := min(len(rest), 1+r.IntN(900))
				size := strconv.FormatInt(int64(k), 16)
				if wrong && r.IntN(4) == 0 {
					size = pick("g", size+"0", "", "-1", "0", "0x"+size)
				}
				c.WriteString(size + pick("", "", ";a=b", " ", "\t;x") + pick("\r\n", "\r\n", "\n") + rest[:k] + pick("\r\n", "\r\n", "\r\n", "\n"))
				rest = rest[k:]
			}
			return c.String() + "0" + pick("\r\n", "\n") + pick("", "", "X-T: 1\r\n") + "\r\n"
		}
		switch r.IntN(9) {
		case 0, 1, 2, 3:
			length()
			b.WriteString(nl + body)
		case 4, 5, 6:
			line("Transfer-Encoding: " + pick("chunked", "chunked", "chunked", "Chunked", "gzip, chunked", "identity", "chunked, chunked"))
			b.WriteString(nl + chunks())
		case 7:
			length()
			line(pick("Transfer-Encoding: chunked", "Content-Length: "+strconv.Itoa(len(body)), "Content-Length: 3"))
			b.WriteString(nl + pick(body, chunks()))
		case 8:
			b.WriteString(nl + body)
			s.closes[i] = true
		}
		// Another answer nobody asked for, whole or not: the next person's, if it were taken.
		more := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1029\r\n\r\n" + strings.Repeat("This is nobody's. ", 60)[:1029]
		switch r.IntN(12) {
		case 0:
			b.WriteString(more[:1+r.IntN(len(more))])
		case 1:
			b.WriteString(more)
		case 2:
			b.WriteString(pick("\r\n", "\n", "\x00"))
		}
		out := b.Bytes()
		if r.IntN(15) == 0 {
			out = out[:r.IntN(len(out))]
			s.closes[i] = true
		}
		s.answers = append(s.answers, out)
	}
	return s
}

// Whatever a portal says, and on however few streams: with compression at the
// agent, this relay gives the browser the same answers as without, and nobody
// another's.
func TestCodingAgreesWithTheRelay(t *testing.T) {
	const n = 400
	seed := uint64(time.Now().UnixNano())
	s := oddAnswers(rand.New(rand.NewPCG(seed, 1)), n)
	reg := prometheus.NewRegistry()
	c := coding.New(reg)
	plain, coded := newWorld(t, through(t, s, nil)), newWorld(t, through(t, s, c))
	type answer struct {
		status int
		body   string
		cut    bool
	}
	ask := func(w *world, client *http.Client, i int) (a answer) {
		r := w.request(http.MethodGet, "/"+strconv.Itoa(i), http.NoBody)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := client.Do(r)
		if err != nil {
			return answer{cut: true}
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		a = answer{status: resp.StatusCode, body: string(b), cut: err != nil}
		if resp.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(b))
			b = nil
			if err == nil {
				b, err = io.ReadAll(z)
			}
			a.body, a.cut = string(b), a.cut || err != nil
		}
		if a.status >= 500 {
			a.body = "" // has an id of its own
		}
		return a
	}
	one, two := plain.client(), coded.client()
	for i := range n {
		want, got := ask(plain, one, i), ask(coded, two, i)
		switch {
		case (want.cut || want.status == http.StatusBadGateway) && (got.cut || got.status == http.StatusBadGateway): // refused, or broken off
		case want != got:
			t.Fatalf("seed %d, answer %d, %.300q: the browser got %d, %.100q, cut off %v; and compressed %d, %.100q, %v", seed, i, s.answers[i],
				want.status, want.body, want.cut, got.status, got.body, got.cut)
		case got.status == 200 && !got.cut && !strings.Contains(string(s.answers[i]), got.body):
			if !strings.Contains(got.body, fmt.Sprintf("This is answer %d.", i)) || strings.Contains(got.body, "nobody") {
				t.Fatalf("seed %d, answer %d: the browser got another's, %.200q", seed, i, got.body)
			}
		}
	}
	if v := testutil.CollectAndCount(reg, "trunkline_agent_compressed_answers_total"); v == 0 {
		t.Error("nothing was compressed")
	}
}
