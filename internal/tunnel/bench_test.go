package tunnel_test

import (
	"context"
	"io"
	"net"
	"testing"

	"trunkline/internal/tunnel"
)

// A request on a stream of its own: open, 100 bytes there, 100 back, close.
func BenchmarkOpenEcho(b *testing.B) {
	w := start(b, setup{})
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		s := w.open(b)
		echoOnce(b, s, buf)
		s.Close()
	}
}

// The same on a stream that is used again and again.
func BenchmarkReusedEcho(b *testing.B) {
	w := start(b, setup{})
	s := w.open(b)
	defer s.Close()
	buf := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		echoOnce(b, s, buf)
		if !s.Alive() {
			b.Fatal("dead")
		}
	}
}

func echoOnce(b *testing.B, s *tunnel.Stream, buf []byte) {
	if _, err := s.Write(buf); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(s, buf); err != nil {
		b.Fatal(err)
	}
}

const mib = 1 << 20

func BenchmarkDownload(b *testing.B) {
	w := start(b, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		for buf := make([]byte, 64<<10); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}})
	s := w.open(b)
	defer s.Close()
	b.SetBytes(mib)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.CopyN(io.Discard, s, mib); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpload(b *testing.B) {
	w := start(b, setup{onStream: func(_ context.Context, _ tunnel.Header, c net.Conn) {
		defer c.Close()
		_ = tunnel.AcceptStream(c)
		_, _ = io.Copy(io.Discard, c)
	}})
	s := w.open(b)
	defer s.Close()
	buf := make([]byte, mib)
	b.SetBytes(mib)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}
