package fleet

import (
	"context"
	"slices"
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
	return f.WatchFor(ctx, p, Watched{})
}

// WatchFor is Watch of other things.
func (f *Fleet) WatchFor(ctx context.Context, p Principal, what Watched) <-chan DeviceEvent {
	w := &watcher{account: p.Account, user: p.User, role: p.Role, access: p.Access, what: what, ch: make(chan DeviceEvent, watchBuffer)}
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
	what    Watched
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

func (ws *watchers) none() bool { return !ws.any(func(Watched) bool { return true }) }

// any reports whether somebody watches for what is looked for.
func (ws *watchers) any(is func(Watched) bool) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		if is(w.what) {
			return true
		}
	}
	return false
}

func forVisits(w Watched) bool { return w.Visits }
func forBelow(w Watched) bool  { return w.Below }

// sees reports whether e is for w; above are the accounts over e's.
func (w *watcher) sees(e DeviceEvent, above []id.Account) bool {
	switch {
	case e.Visit && !w.what.Visits:
		return false
	case w.what.Below: // their groups are not w's
		return slices.Contains(above, w.account) && w.access.Default.Has(See)
	}
	return w.account == e.Device.Account && w.access.On(e.Device.Group).Has(See)
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

// send never waits for a reader. Who watches from above gets the owner's name too.
func (ws *watchers) send(e DeviceEvent, over lineage) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.set {
		if !w.sees(e, over.above) {
			continue
		}
		e.Device.Owner = ""
		if w.what.Below {
			e.Device.Owner = over.name
		}
		select {
		case w.ch <- e:
		default:
			ws.lagged.Inc()
			ws.removeLocked(w)
		}
	}
}
