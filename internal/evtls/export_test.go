package evtls

import (
	"crypto/cipher"
	"crypto/tls"
	"unsafe"
)

// Checked is what the check of crypto/tls found.
func Checked() error { return checked() }

// Lending says whether crypto/tls can be left without a buffer.
func Lending() bool { return checked() == nil && lending }

// Tables is for how many directions of t, made thrifty before, the tables of the
// cipher are kept; -1 if one is as crypto/tls has it. Nobody may use t.
func Tables(t *tls.Conn) (n int) {
	for _, d := range directions().each {
		a, ok := (*maskedAEAD(*(*any)(unsafe.Add(unsafe.Pointer(t), d.cipher)))).(*thrifty)
		switch {
		case !ok:
			return -1
		case a.tables != nil:
			n++
		}
	}
	return n
}

// Thrifty is a thrifty cipher by itself, and whether it keeps its tables.
func Thrifty(key []byte) (c cipher.AEAD, keeps func() bool) {
	a := &thrifty{size: uint8(len(key))}
	copy(a.key[:], key)
	return a, func() bool { return a.tables != nil }
}

// Held is what crypto/tls holds of buffers, in bytes. The reader must be at
// rest.
func Held(c *Conn) int {
	n := rawInput(c.tls).Cap() + hand(c.tls).Cap()
	if c.lent != nil {
		n += segmentSize
	}
	return n
}
