package relay_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"trunkline/cmd/trunkline/up"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
)

// Long answers come whole behind a load balancer, where loops pass them on: to
// browsers that read at once, to those that let their socket fill now and then, one
// after the other on one connection; and who leaves in the middle disturbs nobody.
func TestLongAnswersBehindABalancer(t *testing.T) {
	s := newStage(t, func(c *up.Config) {
		c.Relay.Edge.HTTPListen, c.Relay.Edge.TrustedProxies = "127.0.0.1:0", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	cookie := s.cookie(t, s.visitor)
	const size = 6 << 20
	want := pbxsim.RecordingSHA256(3, size)
	browse := func(rest time.Duration, leaves bool) error {
		c, err := net.Dial("tcp", s.Up.Relay.PlainAddr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		if rest > 0 {
			_ = c.(*net.TCPConn).SetReadBuffer(256 << 10) // with less, loopback's long segments wait for the persist timer
		}
		_ = c.SetDeadline(time.Now().Add(testnet.Patience))
		r := bufio.NewReader(c)
		for range 3 {
			if _, err := fmt.Fprintf(c, "GET /test/bytes?n=3&size=%d HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nX-Forwarded-Proto: https\r\n\r\n", size, s.authority(s.pbx), cookie); err != nil {
				return err
			}
			a, err := http.ReadResponse(r, nil)
			if err != nil {
				return err
			}
			if a.StatusCode != http.StatusOK || a.ContentLength != size {
				return fmt.Errorf("%s, %d bytes", a.Status, a.ContentLength)
			}
			sum := sha256.New()
			for left := int64(size); left > 0; left -= 1 << 20 {
				if _, err := io.CopyN(sum, a.Body, 1<<20); err != nil {
					return fmt.Errorf("%d bytes are missing: %w", left, err)
				}
				time.Sleep(rest) // a browser that has something else to do
				if leaves {
					return nil
				}
			}
			if got := hex.EncodeToString(sum.Sum(nil)); got != want {
				return fmt.Errorf("other bytes: %s", got)
			}
		}
		return nil
	}
	var g errgroup.Group
	for i := range 9 {
		g.Go(func() error { return browse(time.Duration(i%3)*15*time.Millisecond, i > 6) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	s.bystander.goesOn(t, 3)
}
