package license_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline/control/license"
)

var (
	key    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public = key.Public().(ed25519.PublicKey)
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	year   = license.License{Holder: "ACME \"Telecom\" & Söhne", Plan: "standard", Connections: 500, NotBefore: start, Expires: start.AddDate(1, 0, 0), Features: []string{"hot-standby"}}
)

func issue(t testing.TB, l license.License) []byte {
	t.Helper()
	b, err := license.Issue(key, l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIssuedVerifies(t *testing.T) {
	for name, l := range map[string]license.License{
		"full": year, "least": {Plan: "x"}, "trial": license.Trial(), "open-ended": {Plan: "standard", Connections: 1, NotBefore: start},
	} {
		got, err := license.Verify(public, issue(t, l))
		if err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The file of version 1, as it may lie on somebody's disk.
func TestFileOfVersion1(t *testing.T) {
	const file = `{"holder":"ACME","plan":"standard","connections":5,"expires":"2027-01-01T00:00:00Z"}
`
	got := string(issue(t, license.License{Holder: "ACME", Plan: "standard", Connections: 5, Expires: start.AddDate(1, 0, 0)}))
	if !strings.HasPrefix(got, file) || strings.Count(got, "\n") != 2 {
		t.Errorf("file is %q", got)
	}
}

// What mail programs and editors do to line ends is forgiven, anything else not.
func TestChangedFiles(t *testing.T) {
	good := string(issue(t, year))
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"as issued":         {good, nil},
		"no last line end":  {strings.TrimSuffix(good, "\n"), nil},
		"CR LF":             {strings.ReplaceAll(good, "\n", "\r\n"), nil},
		"blank lines after": {good + "\r\n\n\n", nil},

		"empty":             {"", license.ErrMalformed},
		"one line":          {strings.SplitAfter(good, "\n")[0], license.ErrMalformed},
		"more capacity":     {strings.Replace(good, "500", "900", 1), license.ErrSignature},
		"space":             {" " + good, license.ErrSignature},
		"third line":        {good + "x\n", license.ErrMalformed},
		"short signature":   {good[:len(good)-6] + "\n", license.ErrMalformed},
		"line in signature": {good[:len(good)-20] + "\n" + good[len(good)-20:], license.ErrMalformed},
		"too large":         {good + strings.Repeat("\n", 64<<10), license.ErrMalformed},
	} {
		l, err := license.Verify(public, []byte(c.file))
		if !errors.Is(err, c.want) || err != nil && !reflect.DeepEqual(l, license.License{}) {
			t.Errorf("%s: %+v, %v, want %v", name, l, err, c.want)
		}
	}
}

func TestOtherKeys(t *testing.T) {
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	if _, err := license.Verify(other.Public().(ed25519.PublicKey), issue(t, year)); !errors.Is(err, license.ErrSignature) {
		t.Errorf("other key: %v", err)
	}
	if _, err := license.Verify(nil, issue(t, year)); err == nil {
		t.Error("no key: verified")
	}
}

func TestParseKey(t *testing.T) {
	text := base64.StdEncoding.EncodeToString(public)
	if k, err := license.ParseKey(" " + text + "\n"); err != nil || !k.Equal(public) {
		t.Errorf("%v, %v", k, err)
	}
	for _, bad := range []string{"", "x", text[:40], text + text} {
		if k, err := license.ParseKey(bad); err == nil || k != nil {
			t.Errorf("%q: %v, %v", bad, k, err)
		}
	}
}

func TestWhatIsNotIssued(t *testing.T) {
	for name, l := range map[string]license.License{
		"no plan":       {Connections: 5},
		"negative":      {Plan: "x", Connections: -1},
		"ends first":    {Plan: "x", NotBefore: start, Expires: start},
		"beyond reason": {Plan: "x", Connections: 1 << 30},
		"huge":          {Plan: "x", Holder: strings.Repeat("x", 64<<10)},
	} {
		if _, err := license.Issue(key, l); err == nil {
			t.Errorf("%s: issued", name)
		}
	}
}

func TestStatus(t *testing.T) {
	end := year.Expires
	for _, c := range []struct {
		l     license.License
		now   time.Time
		want  license.Status
		grace bool
	}{
		{license.Trial(), start.AddDate(100, 0, 0), license.OnTrial, false},
		{year, start.Add(-time.Second), license.NotSubscribed, false},
		{year, start, license.Subscribed, false},
		{year, end.Add(-time.Second), license.Subscribed, false},
		{year, end, license.Subscribed, true},
		{year, end.Add(license.Grace - time.Second), license.Subscribed, true},
		{year, end.Add(license.Grace), license.NotSubscribed, false},
		{license.License{Plan: "Trial", Expires: end}, start, license.OnTrial, false},
		{license.License{Plan: "x"}, start, license.Subscribed, false},
	} {
		got := c.l.Status(c.now)
		if got != c.want || c.l.InForce(c.now) != (got != license.NotSubscribed) || c.l.InGrace(c.now) != c.grace {
			t.Errorf("%+v at %v: %v, in grace %v", c.l, c.now, got, c.l.InGrace(c.now))
		}
	}
	if !year.Has("hot-standby") || year.Has("x") {
		t.Error("features")
	}
}

// What verifies was signed, holds what a licence must, and is issued again as
// the same; on an error nothing is returned.
func FuzzVerify(f *testing.F) {
	for _, l := range []license.License{year, license.Trial(), {Plan: "x"}} {
		b := issue(f, l)
		line, sig, _ := bytes.Cut(b, []byte("\n"))
		f.Add(line, sig, false)
		f.Add(line, []byte{}, true)
	}
	f.Add([]byte(`{"plan":"a","connections":1e9}`), []byte{}, true)
	f.Add([]byte(`{"plan":"a","not_before":"9999-12-31T23:59:59+23:59"}`), []byte("\n"), true)
	f.Add([]byte(`{"plan":"a","expires":"9999-12-31T23:59:59-23:59"}`), []byte{}, true)
	f.Add([]byte(`{"plan":"a","not_before":"0000-01-01T00:00:00Z","features":[]}`), []byte{}, true)
	f.Add([]byte(`{"plan":"a","plan":"b","more":{}}`), []byte("\r\n"), true)
	f.Fuzz(func(t *testing.T, line, rest []byte, sign bool) {
		file := append(append(bytes.Clone(line), '\n'), rest...)
		if sign {
			file = append(license.SignForTest(key, line), rest...)
		}
		l, err := license.Verify(public, file)
		if err != nil {
			if !reflect.DeepEqual(l, license.License{}) {
				t.Fatalf("%v, and %+v", err, l)
			}
			return
		}
		again, err := license.Issue(key, l)
		if err != nil {
			t.Fatalf("%+v verified and cannot be issued: %v", l, err)
		}
		if back, err := license.Verify(public, again); err != nil || !reflect.DeepEqual(back, l) {
			t.Fatalf("%+v came back as %+v, %v", l, back, err)
		}
	})
}
