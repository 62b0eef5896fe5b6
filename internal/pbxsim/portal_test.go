package pbxsim_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"trunkline/internal/pbxsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a portal with two accounts until the test ends, and fails the
// test if it does not stop in time.
func start(t *testing.T, cfg pbxsim.Config) *pbxsim.Portal {
	t.Helper()
	cfg.SuperAdmin, cfg.SuperPassword = "root", "super secret"
	cfg.Admin, cfg.AdminPassword = "support", "plain secret"
	p, err := pbxsim.New(cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the portal did not stop within 10 s")
		}
	})
	return p
}

// stopped lets go of what New bound, of a portal that was never run.
func stopped(t testing.TB, p *pbxsim.Portal) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// visitor is a browser as far as cookies and redirects go.
type visitor struct {
	*http.Client
	t    *testing.T
	base string
}

func visit(t *testing.T, p *pbxsim.Portal) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &visitor{&http.Client{Transport: tr, Jar: jar, Timeout: 20 * time.Second}, t, p.URL()}
}

func (v *visitor) do(r *http.Request) (*http.Response, string) {
	v.t.Helper()
	res, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("read the body of %s: %v", r.URL, err)
	}
	return res, string(b)
}

func (v *visitor) request(method, path, body string, headers ...string) *http.Request {
	v.t.Helper()
	r, err := http.NewRequest(method, v.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (v *visitor) get(path string, headers ...string) (*http.Response, string) {
	v.t.Helper()
	return v.do(v.request("GET", path, "", headers...))
}

func (v *visitor) post(path string, form url.Values) (*http.Response, string) {
	v.t.Helper()
	return v.do(v.request("POST", path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", v.base))
}

var csrfField = regexp.MustCompile(`<meta name="csrf" content="([^"]+)">`)

func token(t *testing.T, page string) string {
	t.Helper()
	m := csrfField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form token on the page:\n%.400s", page)
	}
	return m[1]
}

func (v *visitor) signIn(name, password string) (*http.Response, string) {
	v.t.Helper()
	_, page := v.get("/login")
	return v.post("/login", url.Values{"csrf": {token(v.t, page)}, "username": {name}, "password": {password}})
}

func has(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s: lacks %q", what, w)
		}
	}
}

func hasNot(t *testing.T, what, text, unwanted string) {
	t.Helper()
	if strings.Contains(text, unwanted) {
		t.Errorf("%s: has %q", what, unwanted)
	}
}

func status(t *testing.T, res *http.Response, want int) {
	t.Helper()
	if res.StatusCode != want {
		t.Errorf("%s %s: status %d, want %d", res.Request.Method, res.Request.URL.Path, res.StatusCode, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]pbxsim.Config{
		"an account without a password": {SuperAdmin: "root"},
		"two accounts of one name":      {SuperAdmin: "a", SuperPassword: "x", Admin: "a", AdminPassword: "y"},
		"an address that is none":       {Listen: "127.0.0.1:nowhere"},
	} {
		if _, err := pbxsim.New(cfg, zaptest.NewLogger(t)); err == nil {
			t.Errorf("New accepted %s", name)
		}
	}
}

func TestPortalServesTLSWithTheCertificateItNames(t *testing.T) {
	p := start(t, pbxsim.Config{TLS: true})
	v := visit(t, p)
	res, _ := v.get("/login")
	status(t, res, 200)
	sum := sha256.Sum256(res.TLS.PeerCertificates[0].Raw)
	if got := hex.EncodeToString(sum[:]); got != p.CertSHA256() {
		t.Errorf("certificate %s, CertSHA256 says %s", got, p.CertSHA256())
	}
	for _, c := range res.Cookies() {
		if !c.Secure {
			t.Errorf("cookie %s is not Secure over TLS", c.Name)
		}
	}
	if res, _ = v.signIn("root", "super secret"); res.Request.URL.String() != p.URL()+"/" {
		t.Errorf("signed in to %s", res.Request.URL)
	}
}

func TestHealth(t *testing.T) {
	v := visit(t, start(t, pbxsim.Config{}))
	res, body := v.get("/healthz", "Host", "whatever.example")
	status(t, res, 200)
	has(t, "health", body, "ok")
}
