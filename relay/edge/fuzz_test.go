package edge

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"trunkline/internal/tunnel"
)

// What is accepted as a host is a lower-case name with a port of digits, and
// what is accepted as a site is a label of the zone.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"pbx.sites.test", "PBX.Sites.Test.:8443", "a.pbx.sites.test", "[::1]:80", "pbx.sites.test:", "pbx.sites.test:0", ".sites.test", "-.sites.test", "user@pbx.sites.test", "..", "a..b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, host []byte) {
		name, port, ok := hostName(host)
		if !ok {
			if name != "" || port != "" {
				t.Error("something is returned for what is refused")
			}
			return
		}
		if again, p, ok := hostName([]byte(name + port)); !ok || again != name || p != port {
			t.Errorf("%q%q does not round-trip", name, port)
		}
		if site, err := siteOf(name, ".sites.test"); err == nil && string(site)+".sites.test" != name {
			t.Errorf("%q is taken for site %q", name, site)
		}
	})
}

// No cookie of the relay's remains, and all other pairs do, byte for byte and in order.
func FuzzCookies(f *testing.F) {
	for _, s := range []string{"", "a=1", "a=1; " + CookieName + "=x; b=2", CookieName + "=x", " ;;" + CookieName + " = x;" + CookieName, "a=" + CookieName + "=x", "\t" + CookieName + "=\t;c"} {
		f.Add([]byte(s))
	}
	others := func(v []byte) (out []string) {
		for p := range strings.SplitSeq(string(v), ";") {
			if name, _, _ := strings.Cut(p, "="); !strings.HasPrefix(strings.Trim(name, " \t"), ownCookies) {
				out = append(out, strings.TrimLeft(p, " \t"))
			}
		}
		return out
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		got := appendCookies(nil, v)
		for p := range strings.SplitSeq(string(got), ";") {
			if strings.HasPrefix(strings.TrimLeft(p, " \t"), ownCookies) {
				t.Errorf("%q: %q remains", v, p)
			}
		}
		want := others(v)
		if len(want) == 0 {
			want = []string{""}
		}
		if have := others(got); strings.Join(have, ";") != strings.Join(want, ";") {
			t.Errorf("%q became %q", v, got)
		}
	})
}

// No cookie set by a portal has a Domain or is the visit's; its name and value
// stay.
func FuzzSetCookie(f *testing.F) {
	for _, s := range []string{"a=1; Domain=x; Path=/", "a=1;domain = .x", CookieName + "=1", " " + CookieName + " =1", "=" + CookieName + "=1", "a", ";Domain=x", "a=1; DOMAIN; Secure"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		got := string(appendSetCookie(nil, v))
		pair, attrs, _ := strings.Cut(got, ";")
		if got != "" && !bytes.HasPrefix(v, []byte(pair)) {
			t.Errorf("%q: the pair became %q", v, pair)
		}
		for a := range strings.SplitSeq(attrs, ";") {
			if key, _, _ := strings.Cut(a, "="); strings.EqualFold(strings.Trim(key, " \t"), "domain") {
				t.Errorf("%q: a Domain remains in %q", v, got)
			}
		}
		if c, err := http.ParseSetCookie(got); err == nil && strings.EqualFold(c.Name, CookieName) {
			t.Errorf("%q sets the visit's cookie", v)
		}
	})
}

// Mapping there and back is the identity on the site's URLs, and nothing but
// the portal's origin is ever replaced.
func FuzzOrigins(f *testing.F) {
	for _, s := range []string{"https://pbx.local:8088/x", "http://PBX.local:8088", "//pbx.local:8088/x", "/x", "https://pbx.local:8088.evil.test/", "https://pbx.local:8088@evil.test/", "https://evil.test\\@pbx.local:8088", "https://192.168.5.150", "http://192.168.5.150:80?x", "https:///x", "://"} {
		f.Add(s)
	}
	o, err := newOrigins([]byte("pbx-one.sites.test:8443"), tunnel.Portal{Origin: "https://pbx.local:8088", Aliases: []string{"http://192.168.5.150", "rubbish"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if len(v) > 0 && v[0] == '/' {
			v = "/" + strings.TrimLeft(v, "/\\")
			if got := string(o.appendToSite(nil, o.appendToPortal(nil, []byte("https://pbx-one.sites.test:8443"+v)))); got != "https://pbx-one.sites.test:8443"+v {
				t.Errorf("%q became %q", v, got)
			}
		}
		got := string(o.appendToSite(nil, []byte(v)))
		if got == v {
			return
		}
		rest, ok := strings.CutPrefix(got, "https://pbx-one.sites.test:8443")
		if !ok || !strings.HasSuffix(v, rest) || rest != "" && !strings.ContainsRune("/?#\\", rune(rest[0])) {
			t.Errorf("%q became %q", v, got)
		}
		r, err := http.NewRequest("GET", v, nil)
		if err == nil && r.URL.Host != "" && r.URL.Hostname() != "pbx.local" && !strings.HasPrefix(r.URL.Hostname(), "192.168.5.150") && !strings.EqualFold(strings.TrimSuffix(r.URL.Hostname(), "."), "pbx.local") {
			t.Errorf("%q, of another host, became %q", v, got)
		}
		_ = o.appendRefresh(nil, []byte("5; url="+v))
	})
}

// A head that is accepted can be written and accepted again with the same
// meaning, and net/http reads the same framing out of it.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{"Host: a\r\n\r\n", "Content-Length: 5\r\n\r\n", "Transfer-Encoding: Chunked\r\nX:y\r\n\r\n", "Connection: close, X-A\r\nx-a: 1\r\n\r\n", "A: b\r\n c: d\r\n\r\n", "A: b\n\n", ": x\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r request
		if r.parse(raw) != nil {
			return
		}
		var out []byte
		for _, fl := range r.fields {
			out = appendField(out, fl.name, fl.value)
		}
		out = append(out, "\r\n"...)
		var again request
		if err := again.parse(out); err != nil || again.length != r.length || len(again.fields) != len(r.fields) || again.hosts != r.hosts {
			t.Errorf("%q was written as %q: %v", raw, out, err)
		}
	})
}

// An answer's head never makes the parser read past it, and its fields hold
// no line end.
func FuzzAnswerHead(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "HTTP/1.0 200\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n", "HTTP/1.1 200 O\rK\r\n\r\n", "HTTP/1.1 200 OK\r\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n := headEnd(raw)
		if n < 0 {
			return
		}
		var a answer
		if a.parse(raw[:n]) != nil {
			return
		}
		for _, fl := range a.fields {
			if bytes.ContainsAny(fl.name, "\r\n: ") || bytes.ContainsAny(fl.value, "\r\n") || len(fl.name) == 0 {
				t.Errorf("field %q: %q", fl.name, fl.value)
			}
		}
		if bytes.ContainsAny(a.reason, "\r\n") {
			t.Errorf("reason %q", a.reason)
		}
	})
}

// However the input is cut into pieces, the payload is what the standard
// library reads, if it reads any.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 1)
	f.Add([]byte("5;ext=\"x\"\r\nhello\r\n3\nabc\n0\r\nT: x\r\n\r\nmore"), 3)
	f.Add([]byte("00000000000000000005\r\nhello\r\n0\r\n\r\n"), 7)
	f.Add([]byte("fffffffffffffffffff\r\n"), 2)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(step%64, 1)
		var c chunkReader
		var got []byte
		ended := false
		for i := 0; i < len(in) && !ended; i += step {
			piece := bytes.Clone(in[i:min(i+step, len(in))])
			n, end, err := c.decode(piece)
			if err != nil {
				return
			}
			got, ended = append(got, piece[:n]...), end
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if ended && err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if !ended && err == nil && c.state != chunkTrailer {
			t.Errorf("%q: no end in sight", in)
		}
	})
}

// Frame boundaries are where they are, however the bytes are cut.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 3, 'a', 'b', 'c', 0x82, 126, 0, 1, 'x', 0x89, 0}, 1)
	f.Add([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 2, 'x', 'y', 0x81, 0x81, 1, 2, 3, 4, 'z'}, 4)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(step%64, 1)
		var whole, cut frames
		whole.advance(in)
		for i := 0; i < len(in); i += step {
			cut.advance(in[i:min(i+step, len(in))])
		}
		if whole != cut {
			t.Errorf("%x: %+v in one piece, %+v in pieces of %d", in, whole, cut, step)
		}
		if fmt.Sprint(whole.boundary()) != fmt.Sprint(cut.boundary()) {
			t.Error("boundaries differ")
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "text", "sid=1; theme=dark", "tab\there and on", "1234567\x7f", "12345678\x00", "\x1f2345678", "12345\n789", "\x80\xff\x9f\xa07654", "\x7e\x80\x7f\x81"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range min(len(b), 9) + 1 {
			want := true
			for _, c := range b[i:] {
				want = want && (c >= ' ' || c == '\t') && c != 0x7f
			}
			if isText(b[i:]) != want {
				t.Fatalf("isText(%q) is %v", b[i:], !want)
			}
		}
	})
}
