package tunnel

import (
	"bytes"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline/internal/fault"
)

// Of all parsers: what is accepted comes back the same after encoding, and on
// error nothing is returned.

const fuzzTunnel = "tun_0123456789abcdef"

func FuzzHello(f *testing.F) {
	proof := strings.Repeat("AAAA", 21) + "AA=="
	f.Add([]byte(`{"version":1,"pass":"p","proof":"` + proof + `","agent":{"version":"1.0","os":"linux","arch":"arm"}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"pass":"","proof":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > helloMax {
			return
		}
		h, err := parseHello(b)
		if err != nil {
			if c := fault.CodeOf(err); c != fault.Protocol && c != fault.VersionMismatch {
				t.Fatalf("code %q", c)
			}
			if !reflect.DeepEqual(h, Hello{}) {
				t.Fatal("an error and a hello")
			}
			return
		}
		out, err := json.Marshal(wireHello{Version: Version, Hello: h})
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseHello(out)
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"welcome":{"version":1,"relay":"r1","tunnel":"` + fuzzTunnel + `","ping_ms":20000}}`))
	f.Add([]byte(`{"refusal":{"code":"draining","message":"Elsewhere.","retry_ms":2000}}`))
	f.Add([]byte(`{"refusal":{"code":""}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > helloMax {
			return
		}
		w, refusal, err := parseAnswer(b)
		var out []byte
		switch {
		case err != nil:
			if refusal != nil || w != (Welcome{}) {
				t.Fatal("an error and an answer")
			}
			return
		case refusal != nil:
			if w != (Welcome{}) {
				t.Fatal("a refusal and a welcome")
			}
			out, err = encodeRefusal(refusal)
		default:
			out, err = w.encode()
		}
		if err != nil {
			t.Fatal(err)
		}
		w2, refusal2, err := parseAnswer(out[4:])
		if err != nil || w2 != w || !reflect.DeepEqual(refusal2, refusal) {
			t.Fatalf("%+v %+v became %+v %+v, %v", w, refusal, w2, refusal2, err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	b, _ := Header{Service: "portal", Visit: "vis_0123456789abcdef", Who: "Ann <ann@example.com>", Method: "account"}.encode()
	f.Add(b)
	f.Add([]byte("\x01\x00\x02{}"))
	f.Add([]byte("\x02\x00\x00"))
	f.Add([]byte("\x01\xff\xff{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := readHeader(r)
		if err != nil {
			if h != (Header{}) {
				t.Fatal("an error and a header")
			}
			return
		}
		// What follows belongs to the stream.
		if want := len(b) - 3 - int(b[1])<<8 - int(b[2]); r.Len() != want {
			t.Fatalf("%d bytes left, want %d", r.Len(), want)
		}
		out, err := h.encode()
		if err != nil {
			t.Skip("Unicode that JSON makes longer") // a header near the limit
		}
		if again, err := readHeader(bytes.NewReader(out)); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte{replyAccepted})
	f.Add(encodeReply(fault.New(fault.PortalRefused, "Connection refused.").After(time.Second)))
	f.Add(encodeReply(fault.New(fault.PortalRefused, "%s", strings.Repeat("<", 2000))))
	f.Add([]byte{replyRefused, 0xff, 0xff})
	f.Add([]byte{7})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := replyNeed(b)
		if err != nil || n > len(b) {
			return // or more would be read
		}
		if m, err := replyNeed(b[:n]); err != nil || m != n {
			return // the head only
		}
		refusal, err := parseReply(b[:n])
		if err != nil {
			if refusal != nil {
				t.Fatal("an error and a refusal")
			}
			return
		}
		if refusal == nil {
			if b[0] != replyAccepted {
				t.Fatal("accepted by something else")
			}
			return
		}
		again, err := parseReply(encodeReply(refusal))
		if err == nil && again.Message == "" {
			refusal = fault.New(refusal.Code, "") // too long in JSON: its code has to do
			again.Retry = 0
		}
		if err != nil || !reflect.DeepEqual(again, refusal) {
			t.Fatalf("%+v became %+v, %v", refusal, again, err)
		}
	})
}

func FuzzControl(f *testing.F) {
	for _, s := range []string{
		`{"type":"status","status":{"role":"active","portal":{"origin":"https://pbx:8088","aliases":["http://pbx"]}}}`,
		`{"type":"pass","pass":"x"}`, `{"type":"refused","fault":{"code":"pass_expired"}}`,
		`{"type":"drain","deadline_ms":300000,"within_ms":3000}`, `{"type":"ping","id":18446744073709551615}`, `{"type":"pong"}`,
		`{"type":"goodbye","fault":{"code":"agent_stopped","message":"m","retry_ms":1}}`, `{"type":"later","id":"x"}`,
		`{"type":"visit","visit":{"id":"vis_0123456789abcdef","who":"Ann <a@b.cd>","method":"passwordless","started":"2026-01-02T03:04:05+01:00","idle_s":900}}`,
		`{"type":"visit_end","visit":{"id":"vis_0123456789abcdef","who":"dropped"},"code":"visit_ended"}`,
		`{"type":"renew","within_ms":1000}`, `{"type":"home","deadline_ms":300000,"relays":["relay-2.example.com:8443"]}`,
		`{"type":"end_visit","visit":{"id":"vis_0123456789abcdef"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			if !reflect.DeepEqual(m, message{}) {
				t.Fatal("an error and a message")
			}
			return
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseMessage(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		// An empty list and none are the same.
		if twice, _ := json.Marshal(again); !bytes.Equal(twice, out) {
			t.Fatalf("%s became %s", out, twice)
		}
	})
}

// What a Login may be sets only cookies, and leads to nowhere but the portal.
func FuzzLogin(f *testing.F) {
	f.Add([]byte(`{"cookies":[{"name":"sid","value":"a b","path":"/","secure":true,"http_only":true,"same_site":"lax","max_age":-1}],"location":"/start?a=b"}`))
	f.Add([]byte(`{"cookies":[{"name":"a","value":"x; Domain=example.com"}],"location":"/"}`))
	f.Add([]byte(`{"location":"//example.com"}`))
	f.Add([]byte(`{"location":"/\\example.com"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ReadLogin(bytes.NewReader(b))
		if err != nil {
			if !reflect.DeepEqual(l, Login{}) {
				t.Fatal("an error and a login")
			}
			return
		}
		for _, c := range l.Cookies {
			if strings.ContainsAny(c.Name+c.Value+c.Path+c.SameSite, ";\r\n\x00") {
				t.Fatalf("%+v breaks out of its line", c)
			}
		}
		base := &url.URL{Scheme: "https", Host: "site.example"}
		if u, err := base.Parse(l.Location); err == nil && u.Host != base.Host {
			t.Fatalf("%q leads to %s", l.Location, u)
		}
		var out bytes.Buffer
		if _, err := l.WriteTo(&out); err != nil {
			t.Skip("longer in our JSON")
		}
		if again, err := ReadLogin(&out); err != nil || !reflect.DeepEqual(again.Cookies, l.Cookies) && len(l.Cookies) > 0 || again.Location != l.Location {
			t.Fatalf("%+v became %+v, %v", l, again, err)
		}
	})
}
