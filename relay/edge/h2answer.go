package edge

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// take passes p on. What is not the end is flushed: the rest may be long in coming.
func (c *h2Conn) take(p []byte) error {
	if err := c.takePiece(p); err != nil || !c.headed || c.answer == 0 {
		return err
	}
	return c.rc.Flush()
}

func (c *h2Conn) takePiece(p []byte) error {
	if !c.headed {
		n := headEnd(p)
		if n < 0 {
			panic("BUG: half a head is written")
		}
		if err := c.takeHead(string(p[:n])); err != nil || !c.headed {
			return err
		}
		p = p[n:]
	}
	return c.takeBody(p)
}

func (c *h2Conn) takeBody(p []byte) error {
	if c.answer == inChunks {
		return c.takeChunks(p)
	}
	if len(p) == 0 {
		return nil
	}
	if c.answer > 0 {
		c.answer -= int64(len(p))
	}
	_, err := c.w.Write(p)
	return err
}

// takeChunks takes what frameChunk has made, and lastChunk.
func (c *h2Conn) takeChunks(p []byte) error {
	for len(p) > 0 {
		size, rest, _ := bytes.Cut(p, []byte("\r\n"))
		n, err := strconv.ParseUint(string(size), 16, 31)
		if err != nil || len(rest) < int(n)+len("\r\n") {
			panic("BUG: half a chunk is written")
		}
		if n == 0 {
			c.answer = 0
			return nil
		}
		if _, err := c.w.Write(rest[:n]); err != nil {
			return err
		}
		p = rest[int(n)+len("\r\n"):]
	}
	return nil
}

// takeHead takes a head of the edge's own making.
func (c *h2Conn) takeHead(head string) error {
	line, head, _ := strings.Cut(head, "\r\n")
	status, err := strconv.Atoi(line[len("HTTP/1.1 "):][:3])
	if err != nil {
		panic("BUG: an answer without a status is written")
	}
	switch status {
	case http.StatusContinue:
		return nil // x/net's to say, when the body is first read
	case http.StatusSwitchingProtocols:
		status = http.StatusOK // RFC 8441, section 4
		c.body, c.answer = asItIs, asItIs
	}
	accepted := ""
	to := c.w.Header()
	var values []string // one array for all
	for head != "\r\n" {
		line, head, _ = strings.Cut(head, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		switch kindOf([]byte(name)) {
		case kLength:
			if c.answer, err = strconv.ParseInt(value, 10, 64); err != nil {
				panic("BUG: an answer of an odd length is written")
			}
		case kTransfer:
			c.answer = inChunks
			continue
		case kConnection, kHop, kUpgrade:
			continue
		}
		if c.accept != "" && strings.EqualFold(name, "Sec-WebSocket-Accept") {
			accepted = value
			continue
		}
		if values == nil {
			values = make([]string, 0, 1+strings.Count(head, "\r\n"))
		}
		values = append(values, value)
		name = http.CanonicalHeaderKey(name)
		if more, ok := to[name]; ok {
			to[name] = append(more, value)
		} else {
			to[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	if c.answer == asItIs && accepted != c.accept {
		return errHandshake
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := to[name]; !ok {
			to[name] = nil // x/net would make one up
		}
	}
	if c.r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		c.answer = 0
	}
	c.headed = true
	c.w.WriteHeader(status)
	return nil
}

var errHandshake = errors.New("the portal's Sec-WebSocket-Accept is wrong")
