package login

import (
	"sync"
	"time"

	"trunkline/internal/fault"
)

// Portals lock an account after a few wrong passwords, and this one is the
// super administrator's: after a refusal we wait, longer each time.
const (
	firstWait = 30 * time.Second
	longest   = 10 * time.Minute
)

// patience remembers refusals. Another password is another matter.
type patience struct {
	mu       sync.Mutex
	password string
	refusals int
	again    time.Time
}

// may errs while it is too early to try password.
func (p *patience) may(password string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.again.Sub(now); password == p.password && wait > 0 {
		return fault.New(fault.LoginFailed, "The PBX's portal refused the last sign-in as super administrator. So that it does not lock the account, the next try is possible in %s.",
			wait.Round(time.Second)).After(wait)
	}
	return nil
}

// heard takes the portal's answer to password.
func (p *patience) heard(password string, in bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in || password != p.password {
		p.password, p.refusals, p.again = password, 0, time.Time{}
	}
	if !in {
		p.again = now.Add(min(firstWait<<min(p.refusals, 10), longest))
		p.refusals++
	}
}
