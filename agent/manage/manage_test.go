package manage_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

func TestAddress(t *testing.T) {
	for typed, want := range map[string]string{
		"console.example.com": "https://console.example.com", " Console.Example.com ": "https://console.example.com",
		"console.example.com:8443": "https://console.example.com:8443", "https://c.example/": "https://c.example",
		"HTTPS://c.example": "https://c.example", "192.0.2.1": "https://192.0.2.1", "[2001:db8::1]:443": "https://[2001:db8::1]:443",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "http://localhost": "http://localhost",
	} {
		if got, err := manage.Address(typed); err != nil || got != want {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", "http://c.example", "javascript:alert(1)", "file:///etc", "//x", "https://u:p@c", "c/../x", "c#x", "-", "a..b", "xn--\u0430", "[::1", "1:2:3"} {
		if got, err := manage.Address(typed); fault.CodeOf(err) != fault.Invalid && typed != "-" {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}

// What is taken as an address is taken again, as it is.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"c.example", "https://c.example:1/", "http://localhost", "[::1]:3", "a b", "a@b", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := manage.Address(s)
		if err != nil {
			var fe *fault.Error
			if u != "" || !errors.As(err, &fe) || fe.Field != "server" {
				t.Fatalf("%q: %q, %v", s, u, err)
			}
			return
		}
		if again, err := manage.Address(u); err != nil || again != u {
			t.Fatalf("%q became %q and then %q, %v", s, u, again, err)
		}
		if strings.ContainsAny(u, " \r\n\t\"<>\\@?#") {
			t.Fatalf("%q became %q", s, u)
		}
	})
}

// Settings are taken as they stand or not at all.
func FuzzSettings(f *testing.F) {
	s := manage.DefaultSettings()
	s.Account = &manage.Account{User: "remote", Secret: manage.Hash("long enough")}
	b, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add([]byte("null"))
	f.Add([]byte(`{"version":1,"server_type":"custom","method":"email","auto_logout":4}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := manage.ParseSettings(b)
		if err != nil {
			if d := cmp.Diff(manage.Settings{}, s); d != "" {
				t.Fatalf("an error and this:\n%s", d)
			}
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := manage.ParseSettings(again); err != nil || cmp.Diff(s, u) != "" {
			t.Fatalf("does not survive being stored: %v\n%s", err, cmp.Diff(s, u))
		}
	})
}

func TestHash(t *testing.T) {
	h := manage.Hash("correct horse")
	if !manage.Matches(h, "correct horse") || manage.Matches(h, "correct horsf") || manage.Matches(h, "") || h == manage.Hash("correct horse") {
		t.Error(h)
	}
	for _, bad := range []string{"", "x", h[:len(h)-1], strings.Replace(h, "m=", "m=9", 1), strings.Replace(h, "argon2id", "argon2i", 1), h + "$"} {
		if manage.ValidHash(bad) || manage.Matches(bad, "correct horse") {
			t.Errorf("%q taken", bad)
		}
	}
}

func TestChange(t *testing.T) {
	yes, no := true, false
	s := manage.DefaultSettings()
	now := time.Unix(1e9, 0)
	s, err := manage.Change{On: &no, Passwordless: &yes}.Apply(s, manage.Names{}, now)
	if err != nil || !s.Off || !s.OffSince.Equal(now) || !s.Passwordless {
		t.Fatalf("%+v, %v", s, err)
	}
	// Off again is not off anew.
	if s, err = (manage.Change{On: &no}).Apply(s, manage.Names{}, now.Add(time.Hour)); err != nil || !s.OffSince.Equal(now) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = (manage.Change{On: &yes}).Apply(s, manage.Names{}, now); err != nil || s.Off || !s.OffSince.IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	n := manage.Names{SuperAdmin: "Super", Extensions: []string{"Ann@example.com"}}
	for user, want := range map[string]string{"super": "super administrator", " SUPER ": "super administrator", "ann@EXAMPLE.com": "extension"} {
		got, err := manage.Change{Account: &manage.AccountChange{User: user, Password: "long enough"}}.Apply(s, n, now)
		var f *fault.Error
		if !errors.As(err, &f) || f.Field != "account_user" || !strings.Contains(f.Message, want) || got.Account != nil {
			t.Errorf("%q: %v", user, err)
		}
	}
}
