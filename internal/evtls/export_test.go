package evtls

// Checked is what the check of crypto/tls found.
func Checked() error { return checked() }

// Lending says whether crypto/tls can be left without a buffer.
func Lending() bool { return checked() == nil && lending }

// Held is what crypto/tls holds of buffers, in bytes. The reader must be at
// rest.
func Held(c *Conn) int {
	n := rawInput(c.tls).Cap() + hand(c.tls).Cap()
	if c.lent != nil {
		n += segmentSize
	}
	return n
}
