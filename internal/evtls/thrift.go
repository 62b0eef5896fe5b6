package evtls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// The tables of AES-GCM are the largest thing that an idle connection has: 0.9 KiB
// for each direction, made in half a microsecond. So a connection that is thrifty
// keeps the keys, and makes tables for the record: of its pings, that is. When
// records come often it keeps the tables too.
const (
	quietAfter = 5 * time.Second
	oftenAt    = 8 // records without such a pause
)

// thrifty is AES-GCM of one key. crypto/tls calls it under the lock of the
// direction that it is of.
type thrifty struct {
	key    [32]byte
	size   uint8       // of it
	often  uint8       // records since the last pause, up to oftenAt
	last   int64       // record, ns since began
	tables cipher.AEAD // nil: none are kept
}

var began = time.Now()

func (a *thrifty) NonceSize() int { return 12 }
func (a *thrifty) Overhead() int  { return 16 }

func (a *thrifty) Seal(dst, nonce, plaintext, data []byte) []byte {
	return a.gcm().Seal(dst, nonce, plaintext, data)
}

func (a *thrifty) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	return a.gcm().Open(dst, nonce, ciphertext, data)
}

func (a *thrifty) gcm() cipher.AEAD {
	now := int64(time.Since(began))
	if now-a.last > int64(quietAfter) {
		a.tables, a.often = nil, 0
	}
	a.last = now
	if a.tables != nil {
		return a.tables
	}
	g, err := newGCM(a.key[:a.size])
	if err != nil {
		panic("BUG: evtls: " + err.Error()) // it went well with this key when it was taken
	}
	if a.often++; a.often >= oftenAt {
		a.tables = g
	}
	return g
}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// Thrift makes t, whose raw connection c is and whose handshake is over, thrifty.
// It lasts until either side changes its keys. Where crypto/tls is not as
// expected, or the cipher is another one, nothing changes. It may wait for who
// writes.
func (c *Conn) Thrift(t *tls.Conn) {
	cs := t.ConnectionState()
	newHash, size := sha256.New, 16
	switch {
	case cs.Version != tls.VersionTLS13 || !cs.HandshakeComplete || !directions().found:
		return
	case cs.CipherSuite == tls.TLS_AES_128_GCM_SHA256:
	case cs.CipherSuite == tls.TLS_AES_256_GCM_SHA384:
		newHash, size = sha512.New384, 32
	default:
		return
	}
	for _, d := range directions().each {
		d.thrift(t, newHash, size)
	}
}

// direction is where a tls.Conn keeps what it reads by, or writes by.
type direction struct{ mu, cipher, secret uintptr }

// directions are looked for once, by name and type.
var directions = sync.OnceValue(func() (out struct {
	each  [2]direction
	found bool
}) {
	for i, name := range []string{"in", "out"} {
		half, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
		if !ok || half.Type.Kind() != reflect.Struct {
			return out
		}
		at := func(name string, of reflect.Type) (uintptr, bool) {
			f, ok := half.Type.FieldByName(name)
			return half.Offset + f.Offset, ok && len(f.Index) == 1 && f.Type == of
		}
		var mu, cipher, secret bool
		d := &out.each[i]
		d.mu, mu = at("Mutex", reflect.TypeFor[sync.Mutex]())
		d.cipher, cipher = at("cipher", reflect.TypeFor[any]())
		d.secret, secret = at("trafficSecret", reflect.TypeFor[[]byte]())
		if !mu || !cipher || !secret {
			return out
		}
	}
	out.found = true
	return out
})

// thrift puts a thrifty AEAD into the one that masks nonces, in place of
// crypto/tls's own, if it is shown to be of the same key.
func (d direction) thrift(t *tls.Conn, newHash func() hash.Hash, size int) {
	base := unsafe.Pointer(t)
	mu := (*sync.Mutex)(unsafe.Add(base, d.mu))
	mu.Lock()
	defer mu.Unlock()
	aead := maskedAEAD(*(*any)(unsafe.Add(base, d.cipher)))
	if aead == nil {
		return
	}
	key, err := trafficKey(*(*[]byte)(unsafe.Add(base, d.secret)), newHash, size)
	if err != nil {
		return
	}
	if _, err := newGCM(key); err != nil {
		return // FIPS 140-only mode has it no way but crypto/tls's
	}
	a := &thrifty{size: uint8(size)}
	copy(a.key[:], key)
	if sameKey(*aead, a) {
		*aead = a
	}
}

// maskedAEAD is the AEAD in what crypto/tls has as a cipher of TLS 1.3, which is
//
//	type xorNonceAEAD struct {
//		nonceMask [12]byte
//		aead      cipher.AEAD
//	}
//
// and nil if it is not.
func maskedAEAD(masking any) *cipher.AEAD {
	v := reflect.ValueOf(masking)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	f, ok := v.Type().Elem().FieldByName("aead")
	if !ok || len(f.Index) != 1 || f.Type != reflect.TypeFor[cipher.AEAD]() {
		return nil
	}
	return (*cipher.AEAD)(unsafe.Add(v.UnsafePointer(), f.Offset))
}

// trafficKey is HKDF-Expand-Label(secret, "key", "", size) of RFC 8446, sections
// 7.1 and 7.3.
func trafficKey(secret []byte, newHash func() hash.Hash, size int) ([]byte, error) {
	const label = "tls13 key"
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len(label)))
	info = append(info, label...)
	info = append(info, 0) // no context
	return hkdf.Expand(newHash, secret, string(info), size)
}

// sameKey reports whether was opens what a seals. That is nothing, and nobody gets
// to see it, so that the nonce may be any.
func sameKey(was cipher.AEAD, a *thrifty) bool {
	if was == nil || was.NonceSize() != a.NonceSize() || was.Overhead() != a.Overhead() {
		return false
	}
	nonce := make([]byte, a.NonceSize())
	_, err := was.Open(nil, nonce, a.Seal(nil, nonce, nil, nil), nil)
	a.often = 0
	return err == nil
}
