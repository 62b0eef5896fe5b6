package pbxsim

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

const maxOperations = 1000

// Operation is a row of the operation log.
type Operation struct {
	Time   time.Time
	Who    string // the account's name, or what was typed as one; "super for Ann" where a person is known
	What   string
	Client string // the address of who connected, as the portal sees it; no header changes it
}

type operations struct {
	mu  sync.Mutex
	ops []Operation // oldest first
}

func (o *operations) add(r *http.Request, who, what string) {
	o.append(Operation{Time: time.Now(), Who: who, What: what, Client: hostName(r.RemoteAddr)})
}

func (o *operations) append(op Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.ops) >= maxOperations {
		o.ops = slices.Delete(o.ops, 0, maxOperations/10)
	}
	o.ops = append(o.ops, op)
}

func (o *operations) list() []Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ops)
}
