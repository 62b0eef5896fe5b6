package relay_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/testnet"
)

// activation is a request as an agent makes it, with a key of its own.
func (s *stage) activation(sn id.Serial) (controlapi.ActivationRequest, ed25519.PrivateKey) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.T.Fatal(err)
	}
	email, password := s.Login()
	return controlapi.ActivationRequest{
		Serial: sn, Model: testnet.Model, Firmware: testnet.Firmware, Email: email, Password: password,
		PublicKey: pub, Proof: controlapi.ActivationProof(key, sn),
	}, key
}

func decided(action string, code fault.Code) trace {
	return trace{
		series: fmt.Sprintf(`trunkline_control_decisions_total{action="%s",outcome="%s"}`, action, code),
		event:  "api request", code: code,
	}
}

func TestHostileActivation(t *testing.T) {
	s := newStage(t, nil)
	api := s.Client()
	refused := map[string]*fault.Error{}
	for _, c := range []struct {
		name string
		code fault.Code
		with func(*controlapi.ActivationRequest)
	}{
		{"wrong password", fault.Rejected, func(q *controlapi.ActivationRequest) { q.Password = "not-the-password" }},
		{"unknown e-mail", fault.Rejected, func(q *controlapi.ActivationRequest) { q.Email = "nobody@example.com" }},
		{"device type", fault.ModelRefused, func(q *controlapi.ActivationRequest) { q.Model = "Toaster 3000" }},
		{"old firmware", fault.FirmwareOld, func(q *controlapi.ActivationRequest) { q.Firmware = "83.18.9.999" }},
		{"firmware of no form", fault.FirmwareOld, func(q *controlapi.ActivationRequest) { q.Firmware = "83.x" }},
		{"another's proof", fault.ProofInvalid, func(q *controlapi.ActivationRequest) {
			_, key, _ := ed25519.GenerateKey(nil)
			q.Proof = controlapi.ActivationProof(key, q.Serial)
		}},
		{"another PBX's proof", fault.ProofInvalid, func(q *controlapi.ActivationRequest) { q.Serial = "3631A20C9999" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, _ := s.activation("3631A20C0100")
			c.with(&q)
			s.secret("a password", q.Password)
			s.leaves(t, decided("activate", c.code), func() fault.Code {
				_, err := api.Activate(t.Context(), q)
				refused[c.name], _ = errors.AsType[*fault.Error](err)
				return fault.CodeOf(err)
			})
		})
	}
	if a, b := refused["wrong password"], refused["unknown e-mail"]; a == nil || b == nil || *a != *b {
		t.Errorf("a wrong password is told from an unknown e-mail: %v, %v", a, b)
	}
	if f := refused["device type"]; !strings.Contains(f.Message, testnet.Model) || f.Field != "model" {
		t.Errorf("a refused type is not told what is accepted: %v", f)
	}
	if f := refused["old firmware"]; !strings.Contains(f.Message, testnet.Firmware) || f.Field != "firmware" {
		t.Errorf("an old firmware is not told which will do: %v", f)
	}
	t.Run("hand-made requests", s.malformedActivations)
}

// What no client of ours would send is refused before any password is looked at.
func (s *stage) malformedActivations(t *testing.T) {
	q, _ := s.activation("3631A20C0101")
	good, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	huge := bytes.Replace(good, []byte(testnet.Model), bytes.Repeat([]byte("m"), 2<<20), 1)
	checks := s.metrics(t)["trunkline_control_password_check_seconds_count"]
	for name, c := range map[string]struct {
		body []byte
		code fault.Code
	}{
		"empty":        {nil, fault.Invalid},
		"no JSON":      {[]byte("serial=1&email=a"), fault.Invalid},
		"half of it":   {good[:len(good)/2], fault.Invalid},
		"twice":        {append(good[:len(good):len(good)], good...), fault.Invalid},
		"member twice": {bytes.Replace(good, []byte(`{`), []byte(`{"serial":"XXXX",`), 1), fault.Invalid},
		"deep":         {bytes.Repeat([]byte(`{"a":`), 5000), fault.Invalid},
		"odd serial":   {bytes.Replace(good, []byte("3631A20C0101"), []byte(`../../etc`), 1), fault.Invalid},
		"huge":         {huge, fault.TooLarge},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Up.ConsoleURL()+"/api/v1/activations", bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		tr := trace{
			series: `trunkline_control_http_requests_total{class="4xx",route="POST /api/v1/activations"}`,
			event:  "api request", code: c.code,
		}
		s.leaves(t, tr, func() fault.Code {
			a, err := do(&http.Client{Transport: s.visitor.Transport}, req)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return a.code()
		})
	}
	if now := s.metrics(t)["trunkline_control_password_check_seconds_count"]; now != checks {
		t.Errorf("%v passwords were looked at", now-checks)
	}
}

// Trial has 25 connections; the stage itself takes two.
func TestHostileActivationBeyondTheLicence(t *testing.T) {
	s := newStage(t, nil)
	api := s.Client()
	var first controlapi.Grant
	var again controlapi.ActivationRequest
	dates := regexp.MustCompile(`\d{4}-\d\d-\d\dT`)
	for i := range 23 {
		q, _ := s.activation(id.Serial(fmt.Sprintf("3631A20D%04d", i)))
		g, err := api.Activate(t.Context(), q)
		if err != nil {
			t.Fatalf("activation %d: %v", i+3, err)
		}
		s.secret("a pass", g.Pass)
		if i == 0 {
			first, again = g, q
		}
		if b, _ := json.Marshal(g); dates.Match(b) || g.LifetimeSeconds < 3600 {
			t.Fatalf("an answer with a date in it, or no lifetime, is no good to a clock that is off: %s", b)
		}
	}
	q, _ := s.activation("3631A20D9999")
	var refusal error
	s.leaves(t, decided("activate", fault.NoConnections), func() fault.Code {
		_, refusal = api.Activate(t.Context(), q)
		return fault.CodeOf(refusal)
	})
	if refusal == nil || !strings.Contains(refusal.Error(), "25 of 25") {
		t.Errorf("does not say how many of how many: %v", refusal)
	}
	sub, err := s.API.Subscription(t.Context())
	if err != nil || sub.Used != 25 || sub.Connections != 25 {
		t.Errorf("subscription: %+v, %v", sub, err)
	}
	if g, err := api.Activate(t.Context(), again); err != nil || g.Device != first.Device {
		t.Errorf("a PBX that is in already: %v, %v", g.Device, err)
	}
	if err := s.API.RemoveDevice(t.Context(), first.Device); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Activate(t.Context(), q); err != nil {
		t.Errorf("a connection was given back, and still: %v", err)
	}
}

// Guessing is stopped, and costs the visitors nothing.
func TestHostileGuessing(t *testing.T) {
	s := newStage(t, nil)
	api := s.Client()
	email, _ := s.Login()
	var last error
	for i := range 10 {
		if _, last = api.SignIn(t.Context(), email, fmt.Sprintf("guess-%d", i)); fault.CodeOf(last) != fault.WrongLogin {
			t.Fatalf("guess %d: %v", i, last)
		}
	}
	s.leaves(t, decided("sign_in", fault.TooMany), func() fault.Code {
		_, last = api.SignIn(t.Context(), email, "guess-11")
		return fault.CodeOf(last)
	})
	if f, ok := errors.AsType[*fault.Error](last); !ok || f.Retry <= 0 {
		t.Errorf("does not say when to come again: %v", last)
	}
	q, _ := s.activation("3631A20C0102")
	if _, err := api.Activate(t.Context(), q); fault.CodeOf(err) != fault.TooMany {
		t.Errorf("activation is another way to guess: %v", err)
	}
	s.bystander.goesOn(t, 3)
}
