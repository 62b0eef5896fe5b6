package login_test

import (
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"trunkline/agent/login"
)

func TestInputValue(t *testing.T) {
	for page, want := range map[string]string{
		`<input name=t value=v>`:                                            "v",
		`<input name=t value=v/>`:                                           "v/", // as browsers read it
		`<input value="a>b" name="t">`:                                      "a>b",
		`<INPUT NAME='t' VALUE='&lt;&#39;'>`:                                "<'",
		`<input name="t" name="u" value="1" value="2">`:                     "1",
		`<inputs name=t value=v><input name=t value=w>`:                     "w",
		"<input\n\tname=t\n value\n=\n\"v\"\n>":                             "v",
		`<textarea><input name=t value=v></TEXTAREA><input name=t value=w>`: "w",
		`<input name=t><input name=t value="">`:                             "",
		`<title>a < b</title><input name=t value=v>`:                        "v",
		`<a href="<input name=t value=v>"><input name=t value=w>`:           "w",
	} {
		if got, ok := login.InputValueForTest([]byte(page), "t"); !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", page, got, ok, want)
		}
	}
	for _, page := range []string{"", "<", "<input", "<input name=t", `<input name=t value=`, "<!--<input name=t value=v>", "<script><input name=t value=v>", `<input name="t value=v>`} {
		if got, ok := login.InputValueForTest([]byte(page), "t"); ok && got != "" {
			t.Errorf("%s: %q", page, got)
		}
	}
}

func TestHostilePageIsReadInOneGo(t *testing.T) {
	for _, piece := range []string{"<script></script>", "<", "<!--", "<input ", "<script", "<input name='", "<title></", "=", "<input ="} {
		login.InputValueForTest([]byte(strings.Repeat(piece, 1<<20/len(piece))), "t")
	}
}

// Whatever stands around it, an input that is written as it should be is found.
func FuzzInputValue(f *testing.F) {
	f.Add("<p>text", "t&v", "<p>")
	f.Fuzz(func(t *testing.T, before, value, after string) {
		login.InputValueForTest([]byte(before+after), "token")
		if !utf8.ValidString(value) || strings.ContainsAny(before, "<\x00\r") || strings.ContainsAny(value, "\x00\r") {
			return
		}
		page := before + `<input type="hidden" name="token" value="` + html.EscapeString(value) + `">` + after
		if got, ok := login.InputValueForTest([]byte(page), "token"); !ok || got != value {
			t.Fatalf("%q: %q, %v", page, got, ok)
		}
	})
}
