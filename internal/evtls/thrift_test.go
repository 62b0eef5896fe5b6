package evtls_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/evtls"
)

// A thrifty cipher is AES-GCM, and has its tables only while records come often.
func TestThriftyCipher(t *testing.T) {
	for _, size := range []int{16, 32} {
		synctest.Test(t, func(t *testing.T) {
			key := random(byte(size), size)
			b, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			want, err := cipher.NewGCM(b)
			if err != nil {
				t.Fatal(err)
			}
			got, keeps := evtls.Thrifty(key)
			if got.NonceSize() != want.NonceSize() || got.Overhead() != want.Overhead() {
				t.Fatalf("nonce %d, overhead %d", got.NonceSize(), got.Overhead())
			}
			seq := uint32(0)
			record := func() {
				t.Helper()
				seq++
				nonce, head, text := make([]byte, 12), []byte{byte(seq)}, random(byte(seq), int(seq)*100)
				binary.BigEndian.PutUint32(nonce, seq)
				sealed := got.Seal(nil, nonce, text, head)
				if !bytes.Equal(sealed, want.Seal(nil, nonce, text, head)) {
					t.Fatalf("record %d is sealed otherwise", seq)
				}
				opened, err := got.Open(nil, nonce, sealed, head)
				if err != nil || !bytes.Equal(opened, text) {
					t.Fatalf("record %d: %v", seq, err)
				}
				sealed[0] ^= 1
				if _, err := got.Open(nil, nonce, sealed, head); err == nil {
					t.Fatalf("record %d: a changed one is taken", seq)
				}
			}
			for range 20 {
				record()
				if keeps() {
					t.Fatal("tables are kept though records are rare")
				}
				time.Sleep(6 * time.Second)
			}
			for range 10 {
				record()
				time.Sleep(4 * time.Second)
			}
			if !keeps() {
				t.Error("no tables are kept though records come often")
			}
			time.Sleep(2 * time.Second)
			record()
			if keeps() {
				t.Error("tables are kept after a pause")
			}
		})
	}
}

// This crypto/tls can be made thrifty.
func TestThriftIsFound(t *testing.T) {
	p := running(t, 1)
	client, server, raw := secured(t, p, nil)
	if raw.Thrift(server); evtls.Tables(server) != 0 {
		t.Errorf("%d directions have tables", evtls.Tables(server))
	}
	exchange(t, client, server, 4)
	if n := evtls.Tables(server); n != 0 {
		t.Errorf("after a few records %d directions have tables", n)
	}
	for end := time.Now().Add(limit); evtls.Tables(server) != 2; { // once is enough, unless the machine stands still in between
		if exchange(t, client, server, 10); time.Now().After(end) {
			t.Fatal("no tables are kept though records come often")
		}
	}
}

func exchange(t *testing.T, client, server *tls.Conn, records int) {
	t.Helper()
	for i := range records {
		word := random(byte(i), 1+i)
		if _, err := client.Write(word); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, server, len(word)), word) {
			t.Fatal("the server got other bytes")
		}
		if _, err := server.Write(word); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, client, len(word)), word) {
			t.Fatal("the client got other bytes")
		}
	}
}

// AES-GCM becomes thrifty with either size of key; another cipher stays as it is.
func TestThriftByCipher(t *testing.T) {
	for suite, tables := range map[string]int{"TLS_AES_128_GCM_SHA256": 0, "TLS_AES_256_GCM_SHA384": 0, "TLS_CHACHA20_POLY1305_SHA256": -1} {
		t.Run(suite, func(t *testing.T) {
			in, out, server, raw := openssl(t, running(t, 1), "-ciphersuites", suite)
			raw.Thrift(server)
			if n := evtls.Tables(server); n != tables {
				t.Errorf("Tables: %d", n)
			}
			s := watch(t, server, 1<<10)
			for range 20 {
				if _, err := in.Write([]byte("hello\n")); err != nil {
					t.Fatal(err)
				}
				if got := string(s.next(t, 6)); got != "hello\n" {
					t.Fatalf("got %q", got)
				}
				if _, err := server.Write([]byte("good day")); err != nil {
					t.Fatal(err)
				}
				if got := string(readAll(t, out, 8)); got != "good day" {
					t.Fatalf("the client got %q", got)
				}
			}
		})
	}
}
