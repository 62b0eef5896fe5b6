package agent_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/selfca"
)

// control is an API that knows one password.
type control struct {
	*httptest.Server
	ca string // file

	mu     sync.Mutex
	lose   int // answers that get lost on the way
	bodies []string
}

const password = "correct horse"

func newControl(t *testing.T) *control {
	t.Helper()
	c := &control{ca: filepath.Join(t.TempDir(), "ca.pem")}
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	c.StartTLS()
	t.Cleanup(c.Close)
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	if err := os.WriteFile(c.ca, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, _ := io.ReadAll(r.Body)
	c.bodies = append(c.bodies, string(b))
	var q controlapi.ActivationRequest
	switch err := json.Unmarshal(b, &q); {
	case r.URL.Path != "/api/v1/activations" || err != nil:
		http.NotFound(w, r)
	case !controlapi.VerifyActivationProof(q.PublicKey, q.Serial, q.Proof):
		fault.ProblemOf(fault.New(fault.ProofInvalid, "No."), "").Write(w)
	case c.lose > 0:
		c.lose--
		panic(http.ErrAbortHandler)
	case q.Password != password:
		fault.ProblemOf(fault.New(fault.Rejected, "Rejected."), "").Write(w)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(grant("pass-1"))
	}
}

func (c *control) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies
}

func (c *control) activation(data string) agent.Activation {
	return agent.Activation{
		Data: data, Server: c.URL, CAFile: c.ca, Email: "tech@example.com", Password: password,
		Serial: "SN-0001", Model: "P560", Firmware: "37.19.0.110", Portal: "https://127.0.0.1:8088",
	}
}

// connect is what a person types on the page.
func (c *control) connect() manage.Change {
	ca, _ := os.ReadFile(c.ca)
	return manage.Change{Connect: &manage.Activation{
		ServerType: manage.CustomServer, Server: c.URL, CA: string(ca), Method: manage.ByEmail, Email: "tech@example.com", Password: password,
		Serial: "SN-0001", Model: "P560", Firmware: "37.19.0.110", Portal: "https://127.0.0.1:8088",
	}}
}

func TestActivate(t *testing.T) {
	c := newControl(t)
	data := filepath.Join(t.TempDir(), "new", "agent")
	i, err := agent.Activate(t.Context(), c.activation(data), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	stored, err := agent.LoadForTest(data)
	if err != nil || stored.Device != i.Device || stored.Pass.Token != "pass-1" || stored.Server != c.URL ||
		stored.CA == "" || stored.Portal != "https://127.0.0.1:8088" || stored.Serial != "SN-0001" {
		t.Errorf("stored %+v, error %v", stored, err)
	}
	key, err := agent.KeyForTest(data)
	if err != nil {
		t.Fatal(err)
	}
	// Again, and after damage, it is the same device with the same key.
	if err := os.WriteFile(filepath.Join(data, "identity.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Activate(t.Context(), c.activation(data), zap.NewNop()); err != nil {
		t.Error(err)
	}
	if again, err := agent.KeyForTest(data); err != nil || !again.Equal(key) {
		t.Errorf("the key changed, or %v", err)
	}
	for _, name := range []string{"identity.json", "device.key"} {
		if b, err := os.ReadFile(filepath.Join(data, name)); err != nil || strings.Contains(string(b), password) {
			t.Errorf("%s: the password is in it, or %v", name, err)
		}
	}
}

// The key is on disk before the request goes out, and the same request is sent
// until an answer comes.
func TestActivateWhenAnswersGetLost(t *testing.T) {
	c := newControl(t)
	c.lose = 2
	data := t.TempDir()
	if _, err := agent.Activate(t.Context(), c.activation(data), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	got := c.requests()
	if len(got) != 3 || got[0] != got[1] || got[1] != got[2] {
		t.Errorf("%d requests, the same: %v", len(got), got[0] == got[len(got)-1])
	}
}

func TestActivateRefused(t *testing.T) {
	c := newControl(t)
	data := t.TempDir()
	q := c.activation(data)
	q.Password = "wrong"
	_, err := agent.Activate(t.Context(), q, zap.NewNop())
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != fault.Rejected {
		t.Fatalf("%v, want rejected", err)
	}
	if len(c.requests()) != 1 {
		t.Errorf("%d requests: a refusal stands", len(c.requests()))
	}
	if _, err := agent.LoadForTest(data); !errors.Is(err, agent.ErrNotActivated) {
		t.Errorf("something was stored: %v", err)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the password is in %q", err)
	}
}

func TestActivateKeepsToItsDirectory(t *testing.T) {
	c := newControl(t)
	data := t.TempDir()
	i := identity()
	i.Serial = "OTHER-PBX"
	agent.StoreForTest(t, data, i)
	if _, err := agent.Activate(t.Context(), c.activation(data), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "OTHER-PBX") {
		t.Errorf("another PBX's directory: %v", err)
	}
	if len(c.requests()) != 0 {
		t.Error("control was asked")
	}
}

func TestActivateInput(t *testing.T) {
	c := newControl(t)
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*agent.Activation){
		"server":   func(q *agent.Activation) { q.Server = "http://console.example.com" },
		"email":    func(q *agent.Activation) { q.Email = "" },
		"password": func(q *agent.Activation) { q.Password = "" },
		"serial":   func(q *agent.Activation) { q.Serial = "" },
		"model":    func(q *agent.Activation) { q.Model = "" },
		"firmware": func(q *agent.Activation) { q.Firmware = "" },
		"portal":   func(q *agent.Activation) { q.Portal = "8088" },
		"ca":       func(q *agent.Activation) { q.CAFile = garbage },
	} {
		q := c.activation(t.TempDir())
		spoil(&q)
		_, err := agent.Activate(t.Context(), q, zap.NewNop())
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || f.Field != want {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// A server that is not believed is not asked twice, and the person is told
// what to do about it: give the CA, or set the clock.
func TestActivateExplainsCertificates(t *testing.T) {
	c := newControl(t)
	other, err := selfca.Open(t.TempDir(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	q := c.activation(t.TempDir())
	q.CAFile = other.File()
	_, err = agent.Activate(t.Context(), q, zap.NewNop())
	var f *fault.Error
	if !errors.As(err, &f) || f.Field != "ca" || !strings.Contains(f.Message, "Give the provider's CA") {
		t.Errorf("unknown CA: %v", err)
	}
	cert := c.Certificate()
	for when, want := range map[time.Time]string{
		cert.NotBefore.Add(-time.Hour): "is not valid yet",
		cert.NotAfter.Add(time.Hour):   "has expired",
	} {
		got := agent.ExplainForTest(agent.VerifyForTest(cert, when), when)
		if got == nil || !strings.Contains(got.Error(), want) || !strings.Contains(got.Error(), "set the clock") {
			t.Errorf("clock at %v: %v", when, got)
		}
	}
	if len(c.requests()) != 0 {
		t.Error("the password went to a server that was not believed")
	}
}
