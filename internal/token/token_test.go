package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newPass(t testing.TB, k token.SigningKey) (token.Pass, string) {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := token.Pass{
		ID: "p1", Device: id.NewDevice(), Site: id.NewSite(), Account: id.NewAccount(), Serial: "3631A20C0001",
		Key: pub, Issued: now, Expires: now.Add(token.PassLife),
	}
	raw, err := token.SignPass(k, p)
	if err != nil {
		t.Fatal(err)
	}
	return p, raw
}

func one(k token.PassKey) func(string) (token.PassKey, bool) {
	return func(kid string) (token.PassKey, bool) { return k, kid == k.ID }
}

func TestPassRoundTrip(t *testing.T) {
	k := token.NewSigningKey(now)
	want, raw := newPass(t, k)
	got, err := token.VerifyPass(raw, one(k.Verifier()), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPassRefusals(t *testing.T) {
	k, other := token.NewSigningKey(now), token.NewSigningKey(now)
	_, raw := newPass(t, k)
	forged := token.SigningKey{ID: k.ID, Private: other.Private, NotAfter: k.NotAfter}
	_, forgedRaw := newPass(t, forged)
	parts := strings.Split(raw, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"trunkline-pass+jwt","kid":"` + k.ID + `"}`))

	for name, c := range map[string]struct {
		raw  string
		key  token.PassKey
		at   time.Time
		want fault.Code
	}{
		"expired":                      {raw, k.Verifier(), now.Add(token.PassLife + token.Leeway + time.Second), fault.PassExpired},
		"relay's clock hours behind":   {raw, k.Verifier(), now.Add(-3 * time.Hour), fault.PassEarly},
		"signed by another":            {forgedRaw, k.Verifier(), now, fault.PassInvalid},
		"unknown key":                  {raw, other.Verifier(), now, fault.PassInvalid},
		"retired key":                  {raw, k.Verifier(), k.NotAfter.Add(time.Second), fault.PassExpired},
		"algorithm none":               {none + "." + parts[1] + ".", k.Verifier(), now, fault.PassInvalid},
		"claims of another, signature": {parts[0] + "." + strings.Split(forgedRaw, ".")[1] + "." + parts[2], k.Verifier(), now, fault.PassInvalid},
		"empty":                        {"", k.Verifier(), now, fault.PassInvalid},
		"huge":                         {strings.Repeat("a", 1<<20), k.Verifier(), now, fault.PassInvalid},
	} {
		got, err := token.VerifyPass(c.raw, one(c.key), c.at)
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if d := cmp.Diff(token.Pass{}, got); d != "" {
			t.Errorf("%s: an error came with a pass: %s", name, d)
		}
	}
}

// Clocks of our own nodes may differ a little.
func TestPassLeeway(t *testing.T) {
	k := token.NewSigningKey(now)
	_, raw := newPass(t, k)
	if _, err := token.VerifyPass(raw, one(k.Verifier()), now.Add(-time.Minute)); err != nil {
		t.Errorf("a relay one minute behind refuses: %v", err)
	}
}

func newVisit() token.Visit {
	return token.Visit{
		ID: id.NewVisit(), Site: id.NewSite(), Device: id.NewDevice(), Account: id.NewAccount(), User: id.NewUser(),
		Who: "Ada <ada@example.com>", Method: token.MethodAccount, Idle: 15 * time.Minute,
		Started: now, Expires: now.Add(token.VisitLife), Seen: now,
	}
}

func oneSeal(k token.SealKey) func(string) (token.SealKey, bool) {
	return func(kid string) (token.SealKey, bool) { return k, kid == k.ID }
}

func TestVisitCookie(t *testing.T) {
	k := token.NewSealKey(now)
	want := newVisit()
	raw, err := token.SealVisit(k, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := token.OpenVisit(raw, oneSeal(k), now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	again, err := token.SealVisit(k, want)
	if err != nil || again == raw {
		t.Errorf("two seals of one visit are equal: a nonce was used twice (error %v)", err)
	}
	if strings.Contains(raw, string(want.ID)) || strings.ContainsAny(raw, " ;,\"") {
		t.Errorf("%q shows what is in it, or is no cookie value", raw)
	}
}

func TestVisitEnds(t *testing.T) {
	k := token.NewSealKey(now)
	v := newVisit()
	busy := v
	busy.Seen = now.Add(token.VisitLife)
	for name, c := range map[string]struct {
		v    token.Visit
		at   time.Time
		want fault.Code
	}{
		"in use":           {v, now.Add(14 * time.Minute), ""},
		"idle":             {v, now.Add(15*time.Minute + time.Second), fault.VisitIdle},
		"at its very end":  {busy, now.Add(token.VisitLife + time.Second), fault.VisitExpired},
		"clock jumps back": {v, now.Add(-time.Hour), ""},
	} {
		raw, err := token.SealVisit(k, c.v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.OpenVisit(raw, oneSeal(k), c.at)
		if fault.CodeOf(err) != c.want || got.ID != v.ID {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestVisitCookieOfAnother(t *testing.T) {
	k, other := token.NewSealKey(now), token.NewSealKey(now)
	raw, err := token.SealVisit(k, newVisit())
	if err != nil {
		t.Fatal(err)
	}
	other.ID = k.ID
	for name, key := range map[string]token.SealKey{"same id, other secret": other, "unknown key": {ID: "x"}} {
		if v, err := token.OpenVisit(raw, oneSeal(key), now); fault.CodeOf(err) != fault.VisitNeeded || v.ID != "" {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
}

func TestHandover(t *testing.T) {
	tok, hash := token.NewHandover()
	got, err := token.HandoverHash(tok)
	if err != nil || got != hash {
		t.Errorf("hash %q, %v; want %q", got, err, hash)
	}
	if strings.Contains(hash, tok) {
		t.Error("the hash has the token in it")
	}
	for _, bad := range []string{"", tok + "A", tok[:42], tok[:42] + "=", tok[:42] + "!"} {
		if h, err := token.HandoverHash(bad); fault.CodeOf(err) != fault.HandoverInvalid || h != "" {
			t.Errorf("%q: %q, %v", bad, h, err)
		}
	}
}

// Nothing that was not sealed with the key opens, and an error gives nothing
// away.
func FuzzOpenVisit(f *testing.F) {
	k := token.SealKey{ID: "k", Secret: make([]byte, 32)}
	raw, err := token.SealVisit(k, newVisit())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{raw, raw[:len(raw)-2], "k.", ".", "", "k." + strings.Repeat("A", 4096)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := token.OpenVisit(in, oneSeal(k), now)
		if err == nil {
			// Sealed by somebody who has the key; one bit less and it must not open.
			bent := []byte(in)
			bent[len(bent)/2] ^= 1
			if _, err := token.OpenVisit(string(bent), oneSeal(k), now); err == nil {
				t.Errorf("%q opened, and so did %q", in, bent)
			}
		}
		if fault.CodeOf(err) == fault.VisitNeeded && v != (token.Visit{}) {
			t.Errorf("%q: refused, but gave %+v", in, v)
		}
	})
}

func FuzzVerifyPass(f *testing.F) {
	k := token.NewSigningKey(now)
	_, raw := newPass(f, k)
	for _, s := range []string{raw, raw[1:], "..", "a.b.c", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := token.VerifyPass(in, one(k.Verifier()), now)
		if err != nil {
			if d := cmp.Diff(token.Pass{}, p); d != "" {
				t.Errorf("an error came with a pass: %s", d)
			}
			return
		}
		if _, err := json.Marshal(p); err != nil || len(p.Key) != ed25519.PublicKeySize {
			t.Errorf("accepted %q", in)
		}
	})
}
