package console_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// An account's many tokens are on pages, each once, and each can be revoked.
func TestTokensHavePages(t *testing.T) {
	f := newFake()
	for i := range 120 {
		f.tokens = append(f.tokens, fleet.APIToken{ID: id.Token(fmt.Sprintf("tok_%016d", i)), User: userID(1), Name: fmt.Sprint("t", i), Expires: noon.AddDate(0, 1, 0)})
	}
	h := newConsole(t, f)
	row := regexp.MustCompile(`action="/me/tokens/(tok_[0-9]+)/revoke"`)
	seen, path := map[string]bool{}, "/me"
	for _, want := range []string{"Showing 1–50 of 120", "Showing 51–100 of 120", "Showing 101–120 of 120"} {
		body := ask(h, "GET", path, nil).Body.String()
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			seen[m[1]] = true
		}
		path = ""
		if m := nextLink.FindStringSubmatch(body); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 120 || path != "" {
		t.Errorf("%d tokens, then %q", len(seen), path)
	}
	// A page that emptied meanwhile leads back.
	body := ask(h, "GET", "/me?cursor=120&from=121", nil).Body.String()
	if strings.Contains(body, "Showing") || !strings.Contains(body, "No more tokens.") || !strings.Contains(body, `href="/me" rel="first"`) {
		t.Errorf("%q", body)
	}
}
