package id_test

import (
	"testing"

	"trunkline/internal/id"
)

func TestNewIDsAreAccepted(t *testing.T) {
	seen := make(map[id.Device]bool)
	for range 1000 {
		d := id.NewDevice()
		var back id.Device
		if err := back.UnmarshalText([]byte(d)); err != nil || back != d {
			t.Fatalf("%q: %v", d, err)
		}
		if seen[d] {
			t.Fatalf("%q came twice", d)
		}
		seen[d] = true
	}
	var s id.Site
	if err := s.UnmarshalText([]byte(id.NewSite())); err != nil {
		t.Error(err)
	}
}

func TestKindsAreNotMixed(t *testing.T) {
	var d id.Device
	if err := d.UnmarshalText([]byte(id.NewVisit())); err == nil {
		t.Error("a visit's id passed for a device's")
	}
	if d != "" {
		t.Errorf("an error left %q behind", d)
	}
}

func TestSerial(t *testing.T) {
	for in, want := range map[string]id.Serial{"3631a-20c-0001": "3631A-20C-0001", "ABCD": "ABCD"} {
		var s id.Serial
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("%q: got %q, %v; want %q", in, s, err, want)
		}
	}
	for _, in := range []string{"", "ABC", "AB CD", "ABCD\n", "ÄBCD", "../../etc", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		var s id.Serial
		if err := s.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was accepted as %q", in, s)
		}
	}
}

// FuzzSite holds that whatever is accepted is a host label that needs no
// escaping anywhere: in a URL, a header, a NATS subject.
func FuzzSite(f *testing.F) {
	for _, s := range []string{"pbx-12ab", "-a", "a-", "A", "a.b", "a_b", "ä", "xn--4ca"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var s id.Site
		if err := s.UnmarshalText([]byte(in)); err != nil {
			if s != "" {
				t.Errorf("%q: an error left %q behind", in, s)
			}
			return
		}
		if string(s) != in || len(s) > 63 {
			t.Errorf("%q became %q", in, s)
		}
		for _, c := range []byte(in) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				t.Errorf("%q has %q in it", in, c)
			}
		}
	})
}
