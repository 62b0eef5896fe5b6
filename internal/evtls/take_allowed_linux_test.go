package evtls

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// forger writes records of TLS 1.3 that crypto/tls itself never does: padded ones,
// empty ones, changes of keys, alerts in the middle.
type forger struct {
	t      *testing.T
	to     *tape
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func forge(t *testing.T, client *tls.Conn, to *tape) *forger {
	f := &forger{t: t, to: to}
	f.change(*(*[]byte)(unsafe.Add(unsafe.Pointer(client), directions().each[1].secret)))
	return f
}

func (f *forger) label(label string, size int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	label = "tls13 " + label
	info = append(append(append(info, byte(len(label))), label...), 0)
	b, err := hkdf.Expand(sha256.New, f.secret, string(info), size)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func (f *forger) change(secret []byte) {
	f.secret, f.seq = secret, 0
	f.iv = f.label("iv", 12)
	a, err := newGCM(f.label("key", 16))
	if err != nil {
		f.t.Fatal(err)
	}
	f.aead = a
}

func (f *forger) record(kind byte, b []byte, padding int) {
	inner := append(append(bytes.Clone(b), kind), make([]byte, padding)...)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+16))
	nonce := bytes.Clone(f.iv)
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], f.seq)
	f.seq++
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	_, _ = f.to.Write(f.aead.Seal(head, nonce, inner, head))
}

// Records that crypto/tls never writes are taken as well: padded beyond what a
// segment has room for, changes of keys in one record or two, and an end. So they
// are where crypto/tls has to be left its own buffers.
func TestTakeWhatIsAllowed(t *testing.T) {
	mustLend(t)
	defer func() { lending = true }()
	for seed := range uint64(24) {
		lending = seed%4 > 0
		r := rand.New(rand.NewPCG(seed, 2))
		raw, _, client, sent, give := secured(t)
		f := forge(t, client, sent)
		var want []byte
		useless := 0
		for range 1 + r.IntN(120) {
			switch kind := r.IntN(12); {
			case kind == 0 && useless < 10:
				f.record(23, nil, r.IntN(300))
				useless++
			case kind == 1 && useless < 10:
				_, _ = sent.Write([]byte{20, 3, 3, 0, 1, 1}) // a change_cipher_spec, which is ignored
				useless++
			case kind == 2 && useless < 10:
				m := []byte{24, 0, 0, 1, byte(r.IntN(2))}
				if cut := r.IntN(len(m)); cut > 0 {
					f.record(22, m[:cut], r.IntN(20))
					m = m[cut:]
				}
				f.record(22, m, 0)
				f.change(f.label("traffic upd", 32))
				useless++
			default:
				b := make([]byte, 1+r.IntN([...]int{1, 100, 5_000, 16 << 10}[r.IntN(4)]))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				want = append(want, b...)
				padding := 0
				if most := 16384 - len(b); r.IntN(3) == 0 && most > 0 {
					padding = r.IntN(most + 1)
				} else if r.IntN(3) == 0 {
					padding = 16384 - len(b) // the largest that crypto/tls takes
				}
				f.record(23, b, padding)
				useless = 0
			}
		}
		f.record(21, []byte{1, 0}, 0) // close_notify
		if r.IntN(2) == 0 {
			f.record(23, []byte("behind the end"), 0)
		}
		var got []byte
		var rooms []*lodging
		room := func() Room {
			if n := len(rooms); n > 0 && rooms[n-1].left && rooms[n-1].Alone() {
				rooms[n-1].left = false
				return rooms[n-1]
			}
			l := new(lodging)
			rooms = append(rooms, l)
			return l
		}
		most := [...]int{3, 100, 3_000, 20_000, 300_000}[r.IntN(5)]
		keeps := r.IntN(3)
		var end error
		for end == nil && sent.recorded.Len() > 0 {
			give(min(1+r.IntN(most), sent.recorded.Len()))
			for {
				at, parts, err := raw.TryTake(room)
				if WouldBlock(err) {
					break
				}
				if err != nil {
					end = err
					break
				}
				for _, b := range parts {
					got = append(got, b...)
					if l := at.(*lodging); keeps > 0 && r.IntN(keeps) == 0 {
						l.kept = append(l.kept, keepsake{b, bytes.Clone(b)})
					}
				}
			}
		}
		if !errors.Is(end, io.EOF) {
			t.Fatalf("seed %d: the end is %v", seed, end)
		}
		wasTaken(t, seed, got, want, rooms)
		if raw.taken != nil {
			t.Errorf("seed %d: a buffer is left", seed)
		}
	}
}
