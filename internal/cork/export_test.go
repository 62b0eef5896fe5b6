package cork

// Holds says whether c has a buffer.
func Holds(c *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf != nil
}
