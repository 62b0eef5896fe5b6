package evtls_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"trunkline/internal/evtls"
)

// openssl is OpenSSL's client, connected: what is written to in it sends, but
// for a line that begins with K, k or Q; what it receives comes out.
func openssl(t *testing.T, p *evtls.Poller, args ...string) (in io.Writer, out io.Reader, server *tls.Conn, raw *evtls.Conn) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	ln := listen(t)
	cmd := exec.CommandContext(t.Context(), path, append([]string{"s_client", "-connect", ln.Addr().String(), "-CAfile", ca(t).File(),
		"-servername", "localhost", "-verify_return_error", "-tls1_3", "-brief"}, args...)...)
	w, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("openssl: %s", said.Bytes())
		}
	})
	_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(limit))
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	raw = evtls.NewConn(p, c)
	server = tls.Server(raw, serverConfig(t))
	if err := server.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, r, server, raw
}

func TestOpenSSLUnderstandsUs(t *testing.T) {
	in, out, server, raw := openssl(t, running(t, 1))
	s := watch(t, server, 64<<10)
	// No byte is special to the client but at the beginning of a line.
	up := bytes.Repeat([]byte("abcdefgh01234567"), 64<<10)
	go in.Write(up)
	if !bytes.Equal(s.next(t, len(up)), up) {
		t.Error("other bytes came")
	}
	down := random(1, 1<<20)
	go func() {
		for rest := down; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			raw.Cork()
			_, _ = server.Write(rest[:n])
			_ = raw.Uncork()
			rest = rest[n:]
		}
	}()
	if !bytes.Equal(readAll(t, out, len(down)), down) {
		t.Error("the client got other bytes")
	}
}

// A client may change its keys, and have us change ours, at any time: TLS
// answers while it reads.
func TestKeyUpdates(t *testing.T) {
	in, out, server, raw := openssl(t, running(t, 1))
	s := watch(t, server, 64<<10)
	for range 10 {
		for _, command := range []string{"k\n", "K\n"} { // "k" changes its keys, "K" asks for ours too
			if _, err := io.WriteString(in, command); err != nil {
				t.Fatal(err)
			}
			// s_client reads its commands by the piece that it gets.
			time.Sleep(20 * time.Millisecond)
			if _, err := io.WriteString(in, "hello\n"); err != nil {
				t.Fatal(err)
			}
			if got := string(s.next(t, 6)); got != "hello\n" {
				t.Fatalf("got %q", got)
			}
			raw.Cork()
			_, _ = server.Write([]byte("good day"))
			if err := raw.Uncork(); err != nil {
				t.Fatal(err)
			}
			if got := string(readAll(t, out, 8)); got != "good day" {
				t.Fatalf("the client got %q", got)
			}
		}
	}
}
