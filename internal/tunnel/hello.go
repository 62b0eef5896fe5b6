package tunnel

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	helloMax = 8 << 10
	infoMax  = 64
	pingMax  = 10 * time.Minute
)

// Hello is what an agent says first.
type Hello struct {
	Pass  string    `json:"pass"`
	Proof []byte    `json:"proof"` // see Proof
	Agent AgentInfo `json:"agent"`
	// Second: the device keeps its first tunnel elsewhere, and this one idle until
	// a Status says otherwise.
	Second bool `json:"second,omitempty"`
}

// AgentInfo describes the program at the other end, for people.
type AgentInfo struct {
	Version string `json:"version,omitempty"`
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
}

// Welcome is a relay's answer to a hello it admits.
type Welcome struct {
	Relay  id.Relay
	Tunnel id.Tunnel
	Ping   time.Duration // how often both sides ping
	Second bool          // the relay takes it for a second tunnel: one that knows none does not say so
}

type wireHello struct {
	Version int `json:"version"`
	Hello
}

type wireWelcome struct {
	Version int       `json:"version"`
	Relay   id.Relay  `json:"relay"`
	Tunnel  id.Tunnel `json:"tunnel"`
	PingMS  int64     `json:"ping_ms"`
	Second  bool      `json:"second,omitempty"`
}

// wireAnswer holds exactly one of the two.
type wireAnswer struct {
	Welcome *wireWelcome `json:"welcome,omitempty"`
	Refusal *wireFault   `json:"refusal,omitempty"`
}

func (h Hello) encode() ([]byte, error) {
	return block(wireHello{Version: Version, Hello: h}, helloMax)
}

// parseHello reads a hello's JSON. Errors are faults. The version is judged
// before anything else, since another version may look different altogether.
func parseHello(b []byte) (Hello, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return Hello{}, fault.New(fault.Protocol, "The hello is not the JSON it should be.")
	}
	if v.Version != Version {
		return Hello{}, fault.New(fault.VersionMismatch, "This relay speaks tunnel protocol version %d; the hello has version %d.", Version, v.Version)
	}
	var w wireHello
	if err := json.Unmarshal(b, &w); err != nil {
		return Hello{}, fault.New(fault.Protocol, "The hello is not the JSON it should be.")
	}
	h := w.Hello
	switch {
	case h.Pass == "":
		return Hello{}, fault.New(fault.Protocol, "The hello has no pass.")
	case len(h.Proof) != ed25519.SignatureSize:
		return Hello{}, fault.New(fault.Protocol, "The hello's proof is not an Ed25519 signature.")
	case !plain(h.Agent.Version, infoMax), !plain(h.Agent.OS, infoMax), !plain(h.Agent.Arch, infoMax):
		return Hello{}, fault.New(fault.Protocol, "The hello's agent description is too long or no text.")
	}
	return h, nil
}

func (w Welcome) encode() ([]byte, error) {
	return block(wireAnswer{Welcome: &wireWelcome{Version: Version, Relay: w.Relay, Tunnel: w.Tunnel, PingMS: w.Ping.Milliseconds(), Second: w.Second}}, helloMax)
}

func encodeRefusal(f *fault.Error) ([]byte, error) {
	return block(wireAnswer{Refusal: toWire(f)}, helloMax)
}

// parseAnswer reads a relay's answer: a welcome, or a refusal as a fault, or
// an error about neither.
func parseAnswer(b []byte) (Welcome, *fault.Error, error) {
	var a wireAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return Welcome{}, nil, fmt.Errorf("not the JSON it should be: %w", err)
	}
	if (a.Welcome == nil) == (a.Refusal == nil) {
		return Welcome{}, nil, fmt.Errorf("need a welcome or a refusal")
	}
	if a.Refusal != nil {
		f, err := a.Refusal.fault()
		return Welcome{}, f, err
	}
	w := a.Welcome
	switch {
	case w.Version != Version:
		return Welcome{}, nil, fmt.Errorf("the relay speaks tunnel protocol version %d, this agent %d", w.Version, Version)
	case w.Relay == "" || w.Tunnel == "":
		return Welcome{}, nil, fmt.Errorf("the welcome names no relay or no tunnel")
	case w.PingMS < 1 || w.PingMS > pingMax.Milliseconds():
		return Welcome{}, nil, fmt.Errorf("ping_ms out of range")
	}
	return Welcome{Relay: w.Relay, Tunnel: w.Tunnel, Ping: time.Duration(w.PingMS) * time.Millisecond, Second: w.Second}, nil, nil
}
