package relay_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/testnet"
)

// In each of these a request for /smuggled is hidden. By a strict reading it is
// in a body, or in a request that is malformed, so it never is a request. HERE
// stands for the Host and the cookie, BURIED for the hidden request.
var smuggling = []string{
	// Two framings.
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0\r\nContent-Length: 300\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 300\r\ncontent-length: 0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0, 300\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nBURIED",
	// A length that is none.
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: +0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: -1\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0x0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0 0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length:\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 18446744073709551616\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0\x0b\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length : 0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nContent_Length: 0\r\nContent-Length: 300\r\n\r\nBURIED",
	// A coding that is none, or that only one of two readers sees.
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding\t:chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nX: a\rTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nX: a\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nX: a\x00\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\n\x0bTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nBURIED",
	"POST / HTTP/1.0\r\nHERE\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\nBURIED",
	// A body that is named for removal.
	"POST / HTTP/1.1\r\nHERE\r\nConnection: Content-Length, keep-alive\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nConnection: Transfer-Encoding, Host, Cookie\r\nTransfer-Encoding: chunked\r\n\r\nHEXLEN\r\nBURIED\r\n0\r\n\r\n",
	// Bodies where few expect one.
	"GET / HTTP/1.1\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"HEAD / HTTP/1.1\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"OPTIONS / HTTP/1.1\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"DELETE / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\nHEXLEN\r\nBURIED\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHERE\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nExpect: 100-continue\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nExpect: 200-ok\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST /.trunkline/visit HTTP/1.1\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"POST /nowhere HTTP/1.1\r\nHost: evil.example\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	// Chunks.
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nHost: evil.example\r\nContent-Length: 300\r\n\r\n",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\nHEXLEN;a=\"\r\nBURIED\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n1;\nx\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n1\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nxBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nxBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n1 0\r\nxBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxxBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\nBURIED",
	"POST / HTTP/1.1\r\nHERE\r\nTransfer-Encoding: chunked\r\n\r\nBURIED",
	// Request lines, heads and fields.
	"POST / HTTP/1.1\r\nHERE\r\nContent-Length: 0\nX: y\n\nBURIED",
	"POST / HTTP/1.1\nHERE\nContent-Length: LENGTH\n\nBURIED",
	"GET / HTTP/1.1\r\nHERE\r\nX: a\r\n\rBURIED",
	"GET / HTTP/1.1\r\nHERE\r\nX\x00: a\r\n\r\n\x00BURIED",
	"GET /smuggled HTTP/1.1\r\nX: GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nX:y HTTP/1.1\r\nno colon\r\nHERE\r\n\r\n\x01BURIED",
	"GET / HTTP/1.1 HTTP/1.1\r\nHERE\r\n\r\n\x01BURIED",
	"GET  /smuggled HTTP/1.1\r\nHERE\r\nX: \x01\r\n\r\n",
	"GET /%0d%0aGET%20/smuggled HTTP/1.1\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"GET http://evil.example/smuggled HTTP/1.1\r\nHERE\r\n\r\n",
	"GET / HTTP/1.2\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"GET / HTTP/2.0\r\nHERE\r\nContent-Length: LENGTH\r\n\r\nBURIED",
	"GET /\r\n\x01BURIED",
	"\x00GET /smuggled HTTP/1.1\r\nHERE\r\n\r\n",
}

// The portal sees what the browser sent as a request, and nothing else as one.
func TestHostileFraming(t *testing.T) {
	s := newStage(t, impatient)
	portal := newRecorder(t)
	p := s.Connect("3631A20C0600", portal.url)
	here := "Host: " + s.authority(p) + "\r\nCookie: " + s.cookie(t, p.Visit())
	buried := "GET /smuggled HTTP/1.1\r\n" + here + "\r\n\r\n"
	fill := strings.NewReplacer("HERE", here, "BURIED", buried, "HEXLEN", fmt.Sprintf("%x", len(buried)), "LENGTH", fmt.Sprint(len(buried)))
	codes := map[int]int{}
	counted := func() int { return int(s.metrics(t)[edgeFault(fault.Invalid).series]) }
	before := counted()
	for i, c := range smuggling {
		conn := s.open(t, s.host(p))
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		own := fmt.Sprintf(" /case-%d ", i)
		io.WriteString(conn, fill.Replace(strings.Replace(c, " / ", own, 1)))
		conn.CloseWrite()
		status := 0
		if a, err := hear(bufio.NewReader(conn), methodOf(c)); err == nil {
			status = a.StatusCode
		}
		codes[status]++
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("case %d, answered %d: %q\nstays open though nothing more can come", i, status, c)
		}
		conn.Close()
		lines, wrong := portal.take()
		requests := 0 // an earlier case's may come late
		for _, l := range lines {
			if strings.Contains(l, own) {
				requests++
			}
			if strings.Contains(l, "smuggled") && !strings.Contains(l, "%0d%0a") {
				t.Errorf("case %d, answered %d: %q\nmade the portal see %q", i, status, c, lines)
			}
		}
		if requests > 1 || len(wrong) > 0 {
			t.Errorf("case %d, answered %d: %q\nmade the portal see %q, %q", i, status, c, lines, wrong)
		}
	}
	t.Logf("%d attempts by status: %v", len(smuggling), codes)
	if codes[http.StatusOK] == 0 || codes[http.StatusBadRequest] == 0 {
		t.Error("either nothing gets through or everything does: the test is broken")
	}
	testnet.Eventually(t, "every refusal is counted", func() error {
		if n := counted() - before; n < codes[http.StatusBadRequest] {
			return fmt.Errorf("%d of %d", n, codes[http.StatusBadRequest])
		}
		return nil
	})
	t.Run("pipelined", func(t *testing.T) { s.pipelined(t, p, portal, here) })
	s.bystander.goesOn(t, 3)
}

func methodOf(request string) string {
	m, _, _ := strings.Cut(request, " ")
	return m
}

// What is sent as two requests arrives as two, each answered for itself. An
// answer may come before the relay has noticed that the request's body is
// through, on a machine that is busy; it says then that it closes, which is
// its right, and the client's turn to try again.
func (s *stage) pipelined(t *testing.T, p *testnet.PBX, portal *recorder, here string) {
	want := []string{"POST /one HTTP/1.1", "GET /two HTTP/1.1", "POST /three HTTP/1.1", "GET /four HTTP/1.1"}
	for range 10 {
		conn := s.open(t, s.host(p))
		io.WriteString(conn, "POST /one HTTP/1.1\r\n"+here+"\r\nContent-Length: 3\r\n\r\nabcGET /two HTTP/1.1\r\n"+here+
			"\r\n\r\nPOST /three HTTP/1.1\r\n"+here+"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /four HTTP/1.1\r\n"+here+"\r\nConnection: close\r\n\r\n")
		r := bufio.NewReader(conn)
		answered := 0
		for closes := false; !closes; answered++ {
			a, err := hear(r, http.MethodGet)
			if err != nil || a.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", a.Response, err)
			}
			closes = a.Close
		}
		if lines, wrong := portal.take(); !slices.Equal(lines, want[:answered]) || len(wrong) > 0 {
			t.Fatalf("the portal saw %q, %q; %d were answered", lines, wrong, answered)
		}
		if answered == len(want) {
			return
		}
	}
	t.Error("never were all answered")
}
