package proxyproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"trunkline/internal/proxyproto"
)

const sign2 = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a version 2 header: command, family, and all that follows.
func v2(command, family byte, rest string) string {
	return sign2 + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest
}

const (
	ends4 = "\xc0\x00\x02\x09\xc6\x33\x64\x01\x30\x39\x20\xfb" // 192.0.2.9:12345 to 198.51.100.1:8443
	src6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"
	ends6 = src6 + src6 + "\x30\x39\x20\xfb"
	tlv   = "\x04\x00\x02\x00\x00" // no-op, section 2.2.4
)

func TestHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   string // "": the balancer's own; "bad": ErrHeader; "short": the connection's end
	}{
		"1, IPv4":              {"PROXY TCP4 192.0.2.9 198.51.100.1 12345 8443\r\n", "192.0.2.9:12345"},
		"1, IPv6":              {"PROXY TCP6 2001:db8::9 2001:db8::1 12345 8443\r\n", "[2001:db8::9]:12345"},
		"1, mapped":            {"PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n", "192.0.2.9:1"},
		"1, unknown":           {"PROXY UNKNOWN\r\n", ""},
		"1, unknown with ends": {"PROXY UNKNOWN ::1 ::1 1 2\r\n", ""},
		"2, IPv4":              {v2(0x21, 0x11, ends4), "192.0.2.9:12345"},
		"2, IPv4 and a TLV":    {v2(0x21, 0x11, ends4+tlv), "192.0.2.9:12345"},
		"2, IPv6":              {v2(0x21, 0x21, ends6), "[2001:db8::9]:12345"},
		"2, local":             {v2(0x20, 0x00, ""), ""},
		"2, local with ends":   {v2(0x20, 0x11, ends4), ""},
		"2, unspecified":       {v2(0x21, 0x00, ""), ""},
		"2, UNIX":              {v2(0x21, 0x31, strings.Repeat("x", 216)), ""},

		"nothing":                  {"", "short"},
		"a TLS hello":              {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdef", "bad"},
		"a request":                {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad"},
		"1, cut off":               {"PROXY TCP4 192.0.2.9 198.51", "short"},
		"1, without end":           {"PROXY TCP4 " + strings.Repeat("1", 200), "bad"},
		"1, five words":            {"PROXY TCP4 192.0.2.9 198.51.100.1 12345\r\n", "bad"},
		"1, two spaces":            {"PROXY TCP4  192.0.2.9 198.51.100.1 1 2\r\n", "bad"},
		"1, other family":          {"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n", "bad"},
		"1, UDP":                   {"PROXY UDP4 192.0.2.9 198.51.100.1 1 2\r\n", "bad"},
		"1, zone":                  {"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "bad"},
		"1, port of six digits":    {"PROXY TCP4 192.0.2.9 198.51.100.1 100000 1\r\n", "bad"},
		"1, port with a nought":    {"PROXY TCP4 192.0.2.9 198.51.100.1 080 1\r\n", "bad"},
		"1, signed port":           {"PROXY TCP4 192.0.2.9 198.51.100.1 +80 1\r\n", "bad"},
		"1, bad destination":       {"PROXY TCP4 192.0.2.9 nowhere 80 1\r\n", "bad"},
		"2, version 1 of it":       {v2(0x11, 0x11, ends4), "bad"},
		"2, unknown command":       {v2(0x22, 0x11, ends4), "bad"},
		"2, UDP":                   {v2(0x21, 0x12, ends4), "bad"},
		"2, too short for IPv4":    {v2(0x21, 0x11, ends4[:11]), "bad"},
		"2, too short for IPv6":    {v2(0x21, 0x21, ends4), "bad"},
		"2, larger than need be":   {v2(0x21, 0x11, strings.Repeat("x", 5000)), "bad"},
		"2, cut off in fixed part": {sign2 + "\x21", "short"},
		"2, cut off in addresses":  {v2(0x21, 0x11, ends4)[:20], "short"},
	} {
		t.Run(name, func(t *testing.T) {
			const after = "hello"
			r := strings.NewReader(c.header)
			if c.want != "short" {
				r = strings.NewReader(c.header + after)
			}
			got, err := proxyproto.Read(r)
			switch c.want {
			case "bad":
				if !errors.Is(err, proxyproto.ErrHeader) {
					t.Errorf("%v, %v", got, err)
				}
				return
			case "short":
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%v, %v", got, err)
				}
				return
			case "":
				if got.IsValid() || err != nil {
					t.Errorf("%v, %v", got, err)
				}
			default:
				if got != netip.MustParseAddrPort(c.want) || err != nil {
					t.Errorf("%v, %v", got, err)
				}
			}
			if rest, _ := io.ReadAll(r); string(rest) != after {
				t.Errorf("it left %q", rest)
			}
		})
	}
}

// What is read is bounded, nothing comes with an error, and a header says the
// same whatever follows it.
func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.9 198.51.100.1 12345 8443\r\nrest"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, ends4+tlv)))
	f.Add([]byte(v2(0x21, 0x21, ends6) + "rest"))
	f.Add([]byte(v2(0x20, 0, "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		got, err := proxyproto.Read(r)
		used := len(b) - r.Len()
		if used > 16+4096 {
			t.Errorf("it took %d bytes", used)
		}
		if err != nil {
			if got.IsValid() {
				t.Errorf("%v with %v", got, err)
			}
			return
		}
		if got.IsValid() && got.Addr().Is4In6() {
			t.Errorf("%v is an IPv4 address in disguise", got)
		}
		again, err := proxyproto.Read(bytes.NewReader(b[:used]))
		if again != got || err != nil {
			t.Errorf("alone it says %v, %v; before other bytes %v", again, err, got)
		}
	})
}
