package fleet

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// watchBuffer is how far a watcher may lag before it is sent away.
const watchBuffer = 256

// Watch gives the changes of the devices that p may see, from now on and as
// long as ctx lasts. The channel is closed when ctx ends, and also when its
// reader has fallen too far behind or p's rights have changed: authenticate
// and list again then, and watch anew.
func (f *Fleet) Watch(ctx context.Context, p Principal) <-chan DeviceEvent {
	w := &watcher{account: p.Account, user: p.User, role: p.Role, access: p.Access, ch: make(chan DeviceEvent, watchBuffer)}
	if p.check() != nil {
		close(w.ch)
		return w.ch
	}
	f.watchers.add(w)
	context.AfterFunc(ctx, func() { f.watchers.remove(w) })
	return w.ch
}

type watcher struct {
	account id.Account
	user    id.User
	role    Role
	access  Access
	ch      chan DeviceEvent // closed by who takes the watcher out of the set
}

type watchers struct {
	open   prometheus.Gauge
	lagged prometheus.Counter

	mu  sync.Mutex
	set map[*watcher]struct{}
}

func (ws *watchers) add(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.set[w] = struct{}{}
	ws.open.Inc()
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.removeLocked(w)
}

func (ws *watchers) removeLocked(w *watcher) {
	if _, ok := ws.set[w]; ok {
		delete(ws.set, w)
		close(w.ch)
		ws.open.Dec()
	}
}

func (ws *watchers) none() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.set) == 0
}

// dismiss sends away those of whom which is true: they may see something else
// now, or nothing.
func (ws *watchers) dismiss(which func(*watcher) bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		if which(w) {
			ws.removeLocked(w)
		}
	}
}

// reviewWatchers sends away those whose rights were changed at another control
// node.
func (f *Fleet) reviewWatchers(ctx context.Context) error {
	people := f.watchers.people()
	if len(people) == 0 {
		return nil
	}
	now := make(map[id.User]Principal, len(people))
	err := f.view(ctx, "review watchers", func(tx Tx) error {
		for user, account := range people {
			p, err := acting(tx, Principal{User: user, Account: account})
			if fault.CodeOf(err) == fault.Internal {
				return err
			}
			now[user] = p // nobody, if the person is gone
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.watchers.dismiss(func(w *watcher) bool {
		p, known := now[w.user]
		return known && (p.User == "" || p.Role != w.role || p.Access.Tag() != w.access.Tag())
	})
	return nil
}

func (ws *watchers) people() map[id.User]id.Account {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	out := make(map[id.User]id.Account, len(ws.set))
	for w := range ws.set {
		out[w.user] = w.account
	}
	return out
}

// send never waits for a reader.
func (ws *watchers) send(e DeviceEvent) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		if w.account != e.Device.Account || !w.access.On(e.Device.Group).Has(See) {
			continue
		}
		select {
		case w.ch <- e:
		default:
			ws.lagged.Inc()
			ws.removeLocked(w)
		}
	}
}
