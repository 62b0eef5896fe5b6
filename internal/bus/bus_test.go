package bus_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/selfca"
)

func TestEmbeddedServerStartsFastAndLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	start := time.Now()
	b, err := bus.Open(t.Context(), bus.Config{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	opened := time.Since(start)
	if err := b.EnsureBuckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("open %v, with buckets %v", opened, time.Since(start))
	if !b.Connected() || b.Addr() != "" {
		t.Errorf("connected %v, addr %q; want connected and no address", b.Connected(), b.Addr())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBusyPortIsAnErrorOfOpen(t *testing.T) {
	first := open(t, bus.Config{Listen: "127.0.0.1:0"})
	b, err := bus.Open(t.Context(), bus.Config{Listen: first.Addr()}, zap.NewNop())
	if err == nil {
		b.Close()
		t.Fatal("opened on a busy port")
	}
	t.Log(err)
}

func TestDialledBusOpensWithoutServerAndFailsFast(t *testing.T) {
	free := open(t, bus.Config{Listen: "127.0.0.1:0"})
	addr := free.Addr()
	free.Close()

	b := open(t, bus.Config{URL: "nats://" + addr})
	if b.Connected() {
		t.Fatal("connected to nobody")
	}
	start := time.Now()
	routes := bus.NewBucket[string](b, bus.Routes)
	_, err := routes.Put(t.Context(), "a.b", "x")
	wantCode(t, err, fault.Unavailable)
	_, _, err = routes.Get(t.Context(), "a.b")
	wantCode(t, err, fault.Unavailable)
	wantCode(t, routes.Delete(t.Context(), "a.b"), fault.Unavailable)
	wantCode(t, b.EnsureBuckets(t.Context()), fault.Unavailable)
	_, err = bus.Call[int, int](t.Context(), b, "x", 1)
	wantCode(t, err, fault.Unavailable)
	if d := time.Since(start); d > 8*time.Second { // calls have 10 s
		t.Errorf("took %v to say that the server is away", d)
	}
}

func TestListenWithTLS(t *testing.T) {
	dir := t.TempDir()
	ca, err := selfca.Open(dir, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := writeLeaf(t, ca, dir)
	l := login(t, "r1")
	srv := control(t, bus.Config{Listen: "127.0.0.1:0", CertFile: certFile, KeyFile: keyFile, Logins: []bus.Login{l}})
	_, port := splitAddr(t, srv.Addr())

	// A name below localhost is this machine, and the certificate is checked for it.
	c := bus.Config{URL: "tls://localhost:" + port, CAFile: ca.File(), User: l.User, PasswordFile: l.PasswordFile}
	b := open(t, c)
	eventually(t, "connected by TLS", b.Connected)
	if _, err := bus.NewBucket[string](b, bus.Routes).Put(t.Context(), "r1.d", "x"); err != nil {
		t.Fatal(err)
	}

	other := otherCA(t)
	c.CAFile = other
	stranger := open(t, c)
	c.CAFile, c.URL = "", "nats://"+srv.Addr()
	plain := open(t, c)
	// Both are refused at the first try, which Open waits for.
	if stranger.Connected() || plain.Connected() {
		t.Errorf("connected with another CA: %v, with the system's roots: %v", stranger.Connected(), plain.Connected())
	}

	// It is trusted as soon as its file has changed.
	right, err := os.ReadFile(ca.File())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, right, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected by the new CA", stranger.Connected)
}

func TestConfigIsRefused(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	good := secretFile(t, "secret")
	one := func(l bus.Login) bus.Config { return bus.Config{Listen: "127.0.0.1:0", Logins: []bus.Login{l}} }
	for name, c := range map[string]bus.Config{
		"password in the url":       {URL: "nats://user:hush@127.0.0.1:1"},
		"another scheme":            {URL: "http://127.0.0.1:1"},
		"no host":                   {URL: "nats://"},
		"listen and url":            {URL: "nats://127.0.0.1:1", Listen: "127.0.0.1:0"},
		"user without password":     {URL: "nats://127.0.0.1:1", User: "u"},
		"creds and user":            {URL: "nats://127.0.0.1:1", CredsFile: good, User: "u", PasswordFile: good},
		"certificate without key":   {URL: "nats://127.0.0.1:1", CertFile: good},
		"certificate that is none":  {URL: "nats://127.0.0.1:1", CertFile: good, KeyFile: good},
		"CA that is none":           {URL: "nats://127.0.0.1:1", CAFile: good},
		"password others may read":  {URL: "nats://127.0.0.1:1", User: "u", PasswordFile: open},
		"credentials not there":     {URL: "nats://127.0.0.1:1", CredsFile: good + ".none"},
		"logins without listen":     {Logins: []bus.Login{{User: "u", PasswordFile: good, Relay: "r"}}},
		"user for an embedded one":  {User: "u", PasswordFile: good},
		"listen without port":       {Listen: "127.0.0.1"},
		"listen on a port by name":  {Listen: "127.0.0.1:no"},
		"login without user":        one(bus.Login{PasswordFile: good, Relay: "r"}),
		"login as ourselves":        one(bus.Login{User: "trunkline-internal", PasswordFile: good, Relay: "r"}),
		"login without a relay":     one(bus.Login{User: "u", PasswordFile: good}),
		"relay that is a wildcard":  one(bus.Login{User: "u", PasswordFile: good, Relay: id.Relay("*")}),
		"relay that is two tokens":  one(bus.Login{User: "u", PasswordFile: good, Relay: id.Relay("a.b")}),
		"login without a password":  one(bus.Login{User: "u", Relay: "r"}),
		"login's file is too open":  one(bus.Login{User: "u", PasswordFile: open, Relay: "r"}),
		"login's password is empty": one(bus.Login{User: "u", PasswordFile: secretFile(t, ""), Relay: "r"}),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bus.Open(t.Context(), c, zap.NewNop())
			if err == nil {
				b.Close()
				t.Fatal("accepted")
			}
			t.Log(err)
		})
	}
}

func writeLeaf(t *testing.T, ca *selfca.CA, dir string) (certFile, keyFile string) {
	t.Helper()
	cert, err := ca.Certificate(&tls.ClientHelloInfo{ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	return writePair(t, cert, dir)
}

func otherCA(t *testing.T) string {
	t.Helper()
	ca, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	return ca.File()
}
