package pbxsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Pair is two PBXs in hot standby: one is active, and the other one waits.
// What each is shows on its pages and stands in its Config.FactsFile.
type Pair struct {
	mu            sync.Mutex
	active, other *Portal
}

// part is what a PBX is in its pair.
type part struct {
	Type, Role string
	peer       string // serial number
}

// NewPair makes primary active and secondary its standby.
func NewPair(primary, secondary *Portal) (*Pair, error) {
	p := &Pair{active: primary, other: secondary}
	return p, errors.Join(
		primary.become(part{"primary", "active", secondary.cfg.Serial}),
		secondary.become(part{"secondary", "standby", primary.cfg.Serial}))
}

// Failover swaps the roles. The one that was active steps back first.
func (p *Pair) Failover() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.active.turn("standby"); err != nil {
		return err
	}
	p.active, p.other = p.other, p.active
	return p.active.turn("active")
}

// TakeOver makes the standby active while the other one, cut off from it, goes
// on being active too.
func (p *Pair) TakeOver() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active, p.other = p.other, p.active
	return p.active.turn("active")
}

// Part says what the PBX is: "primary server, active"; "" if it has no pair.
func (p *Portal) Part() string {
	if at := p.part.Load(); at != nil {
		return at.Type + " server, " + at.Role
	}
	return ""
}

func (p *Portal) turn(role string) error {
	at := *p.part.Load()
	at.Role = role
	return p.become(at)
}

func (p *Portal) become(at part) error {
	p.part.Store(&at)
	if p.cfg.FactsFile == "" {
		return nil
	}
	b, err := json.Marshal(map[string]any{"enabled": true, "type": at.Type, "role": at.Role, "peer": at.peer})
	if err != nil {
		panic("BUG: marshal own facts: " + err.Error())
	}
	return replaceFile(p.cfg.FactsFile, append(b, '\n'))
}

// replaceFile never shows a reader half a file.
func replaceFile(path string, b []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write facts: %w", err)
	}
	return nil
}
