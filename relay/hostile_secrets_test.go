package relay_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/zap/zapcore"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// secretBytes is a secret in every spelling it could be logged in.
func (s *stage) secretBytes(what string, b []byte) {
	s.secret(what, string(b))
	s.secret(what, hex.EncodeToString(b))
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		s.secret(what, e.EncodeToString(b))
	}
}

var (
	handoverForm = regexp.MustCompile(`action="([^"]+)">\s*<input type="hidden" name="handover" value="([^"]+)"`)
	hiddenField  = regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]+)"`)
)

// The whole main job, with everybody's log at debug level: stage.checkLogs
// looks for what it gathers here, when everything has stopped.
func TestSecretsStayOutOfLogs(t *testing.T) {
	s := newStage(t, nil)
	signing, seal := s.keys(t)
	s.secretBytes("the signing key", signing.Private.Seed())
	s.secretBytes("the sealing key", seal.Secret)

	// The agent's.
	portal := s.Portal(nil)
	p := s.Connect("3631A20C0950", portal.URL())
	var i agent.Identity
	if b, err := os.ReadFile(filepath.Join(p.Data, "identity.json")); err != nil || json.Unmarshal(b, &i) != nil || i.Pass.Token == "" {
		t.Fatalf("the agent's identity: %v", err)
	}
	s.secret("the agent's pass", i.Pass.Token)
	s.secret("the pass's signature", i.Pass.Token[strings.LastIndexByte(i.Pass.Token, '.')+1:])
	b, err := os.ReadFile(filepath.Join(p.Data, "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	s.secretBytes("the device's key", block.Bytes[len(block.Bytes)-32:])

	// Staff's, at the console, with a wrong try first.
	c := s.console(t)
	s.secret("a password with a slip", "a password with a slip")
	c.post(t, "/sign-in", url.Values{"email": {"a password in the wrong field"}, "password": {"a password with a slip"}})
	s.secret("a password in the wrong field", "a password in the wrong field")
	c.signIn(t, "/")
	page := c.post(t, "/devices/"+string(p.Device)+"/visit", nil, "Origin", s.Up.ConsoleURL())
	form := handoverForm.FindStringSubmatch(page.body)
	if form == nil {
		t.Fatalf("no handover in %s", page.body)
	}
	s.secret("the handover", form[2])
	s.secret("the handover's address", url.QueryEscape(form[2]))
	v, a := s.redeem(t, p, form[2], s.Up.ConsoleURL())
	if a.StatusCode != http.StatusSeeOther {
		t.Fatalf("redeem: %s", a.code())
	}
	s.redeem(t, p, form[2], s.Up.ConsoleURL()) // and once too often
	s.cookie(t, v)
	s.portalJob(t, v)

	// A program's.
	email, password := s.Login()
	session, err := s.Client().SignIn(t.Context(), email, password)
	if err != nil {
		t.Fatal(err)
	}
	s.secret("an API session's token", session.Token)
	api := s.Client().WithToken(session.Token)
	start, err := api.StartVisit(t.Context(), controlapi.VisitRequest{Device: p.Device})
	if err != nil {
		t.Fatal(err)
	}
	s.secret("the handover of a visit that is not opened", start.Handover)
	if err := api.EndVisit(t.Context(), start.Visit.ID); err != nil {
		t.Fatal(err)
	}
	if err := api.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _ = api.Subscription(t.Context()) // with a token that is over
	c.post(t, "/sign-out", nil, "Origin", s.Up.ConsoleURL())
	p.Stop()
	p.AwaitStatus(controlapi.StatusDisconnected)

	if n, d := s.logs.Len(), s.logs.FilterLevelExact(zapcore.DebugLevel).Len(); n < 50 || d == 0 {
		t.Errorf("%d lines were logged, %d at debug level: the test looks at nothing", n, d)
	}
}

// portalJob signs in to the portal, and does what staff do there.
func (s *stage) portalJob(t *testing.T, v *visitor.Visitor) {
	t.Helper()
	login, err := v.Fetch(t.Context(), "/login")
	if err != nil {
		t.Fatal(err)
	}
	m := hiddenField.FindAllStringSubmatch(string(login), -1)
	f := url.Values{"username": {testnet.SuperUser}, "password": {testnet.SuperPassword}}
	for _, hidden := range m {
		f.Set(hidden[1], hidden[2])
	}
	req, err := http.NewRequest(http.MethodPost, v.Origin+"/login?password="+testnet.SuperPassword, strings.NewReader(f.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", v.Origin)
	a, err := do(v.Client, req)
	if err != nil || a.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign in to the portal: %v, %v: %s", a.Response, err, a.body)
	}
	for _, k := range a.Cookies() {
		s.secret("the portal's session", k.Value)
	}
	for _, path := range []string{"/", "/calls", "/recordings/1/download?size=100000", "/.trunkline/visit?handover=x", "/test/reset?at=start"} {
		if _, err := get(t, v, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	ws, err := v.WebSocket(t.Context(), "/ws/calls")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, _, err := ws.Read(t.Context()); err != nil {
		t.Error(err)
	}
	ws.Close(websocket.StatusNormalClosure, "")
}
