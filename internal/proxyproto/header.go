package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const (
	line1Max = 107 // bytes of a version 1 header, CR and LF included (section 2.1)
	fixed2   = 16  // bytes of a version 2 header before its addresses (section 2.2)
	// rest2Max bounds addresses and TLVs. The format allows 65535; balancers
	// send some hundred at most, with a client certificate's names among them.
	rest2Max = 4096
)

// signature2 begins a version 2 header (section 2.2).
var signature2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

// ErrHeader is what a connection without a well-formed header ends with.
var ErrHeader = errors.New("no well-formed PROXY protocol header")

// Read takes one header of either version off r, and not a byte more. It
// returns the client's address, or the zero AddrPort if the connection is the
// balancer's own (LOCAL, UNKNOWN: a health check) or no IP connection. What
// is no header is ErrHeader; other errors are r's.
func Read(r io.Reader) (netip.AddrPort, error) {
	// Version 1 is 15 bytes at least ("PROXY UNKNOWN" and the end of the line),
	// so these are the header's in either version.
	var buf [line1Max]byte
	head := buf[:fixed2-1]
	if _, err := io.ReadFull(r, head); err != nil {
		return netip.AddrPort{}, err
	}
	if bytes.HasPrefix(head, signature2) {
		return read2(r, head)
	}
	if !bytes.HasPrefix(head, []byte("PROXY ")) {
		return netip.AddrPort{}, fmt.Errorf("%w: the connection begins otherwise", ErrHeader)
	}
	// One byte at a time: only the line's end says where it ends, and what
	// comes after it is the client's.
	for !bytes.HasSuffix(head, []byte("\r\n")) {
		if len(head) == line1Max {
			return netip.AddrPort{}, fmt.Errorf("%w: version 1 in more than %d bytes", ErrHeader, line1Max)
		}
		head = head[:len(head)+1]
		if _, err := io.ReadFull(r, head[len(head)-1:]); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return parse1(string(head[:len(head)-2]))
}

// Local is the header, of version 2, of a connection that passes nobody on.
func Local() []byte { return append(slices.Clone(signature2), 0x20, 0, 0, 0) }

func parse1(line string) (netip.AddrPort, error) {
	bad := func(what string) (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf("%w: version 1: %s", ErrHeader, what)
	}
	f := strings.Split(line, " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil // what follows is to be ignored
	}
	if len(f) != 6 {
		return bad("need six words")
	}
	if f[1] != "TCP4" && f[1] != "TCP6" {
		return bad("neither TCP4 nor TCP6")
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		a, err := netip.ParseAddr(f[2+i])
		if err != nil || a.Zone() != "" || a.Is4() != (f[1] == "TCP4") {
			return bad("an address is none of its family")
		}
		port, err := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != f[4+i] {
			return bad("a port is none")
		}
		ends[i] = netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	return ends[0], nil
}

// read2 is for what has begun with signature2; head is short of the last byte
// of the fixed part.
func read2(r io.Reader, head []byte) (netip.AddrPort, error) {
	bad := func(what string, v any) (netip.AddrPort, error) {
		return netip.AddrPort{}, fmt.Errorf("%w: version 2: %s %v", ErrHeader, what, v)
	}
	head = head[:fixed2]
	if _, err := io.ReadFull(r, head[fixed2-1:]); err != nil {
		return netip.AddrPort{}, err
	}
	command, family, size := head[12], head[13], int(binary.BigEndian.Uint16(head[14:]))
	if command != 0x20 && command != 0x21 {
		return bad("version and command", command)
	}
	if size > rest2Max {
		return bad("size", size)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return netip.AddrPort{}, err
	}
	if command == 0x20 { // LOCAL: addresses are to be ignored
		return netip.AddrPort{}, nil
	}
	switch family {
	case 0x11: // TCP over IPv4
		if size < 12 {
			return bad("size", size)
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rest[:4])), binary.BigEndian.Uint16(rest[8:])), nil
	case 0x21: // TCP over IPv6
		if size < 36 {
			return bad("size", size)
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rest[:16])).Unmap(), binary.BigEndian.Uint16(rest[32:])), nil
	case 0x00, 0x31: // unspecified, and a UNIX socket: there is no address
		return netip.AddrPort{}, nil
	}
	return bad("family", family)
}
