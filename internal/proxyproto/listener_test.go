package proxyproto_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"trunkline/internal/proxyproto"
)

func pair(t *testing.T, trusted ...netip.Prefix) (client, server net.Conn, l *proxyproto.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = proxyproto.Listen(ln, trusted)
	t.Cleanup(func() { l.Close() })
	return dial(t, l)
}

func dial(t *testing.T, l *proxyproto.Listener) (client, server net.Conn, _ *proxyproto.Listener) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server, l
}

func send(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

var (
	loopback = netip.MustParsePrefix("127.0.0.0/8")
	other    = netip.MustParsePrefix("192.0.2.0/24")
)

const header = "PROXY TCP4 203.0.113.7 198.51.100.1 40000 8443\r\n"

func TestTheTrustedSpeakForClients(t *testing.T) {
	client, server, _ := pair(t, other, loopback)
	send(t, client, header+"hello")
	if got := server.RemoteAddr().String(); got != "203.0.113.7:40000" {
		t.Errorf("it is from %s", got)
	}
	if b, err := io.ReadAll(server); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// Who does not ask for the address gets no byte of the header all the same.
func TestReadSkipsTheHeader(t *testing.T) {
	client, server, _ := pair(t, loopback)
	send(t, client, v2(0x21, 0x11, ends4)+"hello")
	if b, err := io.ReadAll(server); string(b) != "hello" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if got := server.RemoteAddr().String(); got != "192.0.2.9:12345" {
		t.Errorf("it is from %s", got)
	}
}

func TestTheTrustedMustSayIt(t *testing.T) {
	client, server, _ := pair(t, loopback)
	send(t, client, "GET / HTTP/1.1\r\n\r\n")
	if b, err := io.ReadAll(server); !errors.Is(err, proxyproto.ErrHeader) || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("it is from %s, not %s", got, want)
	}
}

// A header of somebody else's is bytes like others.
func TestOthersAreNotBelieved(t *testing.T) {
	client, server, _ := pair(t, other)
	send(t, client, header)
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("it is from %s, not %s", got, want)
	}
	if b, err := io.ReadAll(server); string(b) != header || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestABalancersOwnConnection(t *testing.T) {
	client, server, _ := pair(t, loopback)
	send(t, client, v2(0x20, 0, "")+"hello")
	if got, want := server.RemoteAddr().String(), client.LocalAddr().String(); got != want {
		t.Errorf("it is from %s, not %s", got, want)
	}
}

func TestTrustChanges(t *testing.T) {
	_, _, l := pair(t)
	l.Trust([]netip.Prefix{loopback})
	client, server, _ := dial(t, l)
	send(t, client, header)
	if got := server.RemoteAddr().String(); got != "203.0.113.7:40000" {
		t.Errorf("it is from %s", got)
	}
}

// The socket below is there for who watches it.
func TestTheSocketIsThere(t *testing.T) {
	client, server, _ := pair(t, loopback)
	send(t, client, header)
	c := server.(*proxyproto.Conn)
	if err := c.Header(); err != nil {
		t.Fatal(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if fd == 0 {
			t.Error("it is none")
		}
	}); err != nil {
		t.Error(err)
	}
	below := c.NetConn()
	if w, ok := below.(interface{ NetConn() net.Conn }); ok {
		below = w.NetConn()
	}
	if _, ok := below.(*net.TCPConn); !ok {
		t.Errorf("below is a %T", below)
	}
}
