package evtls

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"
)

// lodging is a room, and what others have kept of it.
type lodging struct {
	b    [segmentSize + 100]byte
	kept []keepsake
	left bool // by its reader
}

// keepsake is a part, and what it was when it was handed out.
type keepsake struct{ at, was []byte }

func (l *lodging) Bytes() []byte { return l.b[:] }
func (l *lodging) Alone() bool   { return len(l.kept) == 0 }
func (l *lodging) Release()      { l.left = true }

// saysNothing writes an empty record of TLS 1.3, which crypto/tls itself never does, as c
// would. The secret and the number of the record are where c has them.
func saysNothing(t *testing.T, c *tls.Conn, to *tape) {
	t.Helper()
	out, ok := reflect.TypeFor[tls.Conn]().FieldByName("out")
	if !ok {
		t.Fatal(errOtherTLS)
	}
	seq, ok := out.Type.FieldByName("seq")
	if !ok || seq.Type != reflect.TypeFor[[8]byte]() {
		t.Fatal(errOtherTLS)
	}
	base := unsafe.Pointer(c)
	number := (*[8]byte)(unsafe.Add(base, out.Offset+seq.Offset))
	secret := *(*[]byte)(unsafe.Add(base, directions().each[1].secret))
	key, err := trafficKey(secret, sha256.New, 16)
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := hkdf.Expand(sha256.New, secret, "\x00\x0c\x08tls13 iv\x00", 12)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range number {
		nonce[4+i] ^= b
	}
	aead, err := newGCM(key)
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{23, 3, 3, 0, 17}
	if _, err := to.Write(aead.Seal(head, nonce, []byte{23}, head)); err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(number[:], binary.BigEndian.Uint64(number[:])+1)
}

// mustLend skips where crypto/tls is another one than is known, and nothing is lent.
func mustLend(t *testing.T) {
	t.Helper()
	if err := checked(); err != nil || !lending || !directions().found {
		t.Skipf("this crypto/tls is left its own buffers: %v", err)
	}
}

// wasTaken looks at what was taken, and at what was kept of the rooms it was in.
func wasTaken(t *testing.T, seed uint64, got, want []byte, rooms []*lodging) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("seed %d: %d bytes of %d were taken, or other ones", seed, len(got), len(want))
	}
	for _, l := range rooms {
		for _, k := range l.kept {
			if !bytes.Equal(k.at, k.was) {
				t.Fatalf("seed %d: what was kept is another", seed)
			}
		}
		if !l.left {
			t.Errorf("seed %d: a room was not given back", seed)
		}
	}
}

// What is taken is what was sent, however it is cut on its way and with records that
// say nothing in between; and what somebody keeps stays as it was.
func TestTake(t *testing.T) {
	mustLend(t)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		raw, _, client, sent, give := secured(t)
		var want []byte
		for range 1 + r.IntN(30) {
			if r.IntN(4) == 0 {
				saysNothing(t, client, sent)
			}
			b := make([]byte, 1+r.IntN([...]int{1, 100, 5_000, 40_000, 200_000}[r.IntN(5)]))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			want = append(want, b...)
			if _, err := client.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		var got []byte
		var rooms []*lodging
		room := func() Room {
			l := new(lodging)
			rooms = append(rooms, l)
			return l
		}
		most := [...]int{3, 100, 3_000, 20_000, 300_000}[r.IntN(5)]
		keeps := r.IntN(3)
		for sent.recorded.Len() > 0 {
			give(min(1+r.IntN(most), sent.recorded.Len()))
			for {
				at, parts, err := raw.TryTake(room)
				if WouldBlock(err) {
					break
				}
				if err != nil || len(parts) == 0 {
					t.Fatalf("seed %d: %d parts, %v", seed, len(parts), err)
				}
				for _, b := range parts {
					got = append(got, b...)
					if l := at.(*lodging); keeps > 0 && r.IntN(keeps) == 0 {
						l.kept = append(l.kept, keepsake{b, bytes.Clone(b)})
					}
				}
			}
		}
		wasTaken(t, seed, got, want, rooms)
		if raw.taken != nil || rawInput(raw.tls).Cap() > 0 {
			t.Errorf("seed %d: a buffer is left", seed)
		}
	}
}
