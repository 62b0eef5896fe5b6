package trust

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/bus"
	"trunkline/internal/peercert"
	"trunkline/internal/token"
)

// keyring is immutable once stored.
type keyring struct {
	pass map[string]token.PassKey
	seal map[string]token.SealKey
	peer map[string]peercert.Root
	// gone are keys of visits that control withdrew before their time: they open
	// nothing, and tell whose visits ended with them.
	gone map[string]token.SealKey
}

func (k *keyring) passKey(kid string) (token.PassKey, bool) { v, ok := k.pass[kid]; return v, ok }
func (k *keyring) goneKey(kid string) (token.SealKey, bool) { v, ok := k.gone[kid]; return v, ok }
func (k *keyring) sealKey(kid string) (token.SealKey, bool) { v, ok := k.seal[kid]; return v, ok }

// sealer is the key to seal a visit with at now: the newest one in force, and if
// none is yet, because a clock was set back, the one that will be first. A key is
// known here when control has made it, and is as secret then as it will ever be:
// NotBefore orders keys and keeps nobody out, NotAfter does.
func (k *keyring) sealer(now time.Time) (token.SealKey, bool) {
	var best, next token.SealKey
	for _, s := range k.seal {
		switch {
		case !now.Before(s.NotAfter):
		case now.Before(s.NotBefore.Add(-token.Leeway)): // control's clock may be ahead of ours by as much
			if next.ID == "" || s.NotBefore.Before(next.NotBefore) {
				next = s
			}
		case s.NotBefore.After(best.NotBefore):
			best = s
		}
	}
	if best.ID == "" {
		best = next
	}
	return best, best.ID != ""
}

// sealing is all keys of visits, the newest first.
func (k *keyring) sealing() []token.SealKey {
	return slices.SortedFunc(maps.Values(k.seal), func(a, b token.SealKey) int {
		return cmp.Or(b.NotBefore.Compare(a.NotBefore), strings.Compare(a.ID, b.ID)) // the same at every relay
	})
}

// watchKeys never forgets a key because the bucket came back empty: control
// refills it, and until then what was signed stays good.
func (t *Trust) watchKeys(ctx context.Context) error {
	var there present
	return bus.NewBucket[json.RawMessage](t.o.Bus, bus.Keys).Watch(ctx, func(e bus.Event[json.RawMessage]) {
		for _, key := range there.apply(e) {
			t.applyKey(bus.Event[json.RawMessage]{Kind: bus.Delete, Key: key})
		}
		t.applyKey(e)
	})
}

// present is which keys the bucket holds. Those that control withdraws while the watch
// is away are not announced to it: they are those of before that are missing now, in
// the same bucket.
type present struct {
	epoch    string
	had, has map[string]bool // at the last snapshot, and in this one and since
}

// apply returns what was withdrawn unseen.
func (p *present) apply(e bus.Event[json.RawMessage]) (withdrawn []string) {
	switch e.Kind {
	case bus.Reset:
		if e.Epoch != p.epoch {
			p.had, p.has = nil, nil
		}
		had := make(map[string]bool)
		maps.Copy(had, p.had) // of a snapshot that did not get to its end
		maps.Copy(had, p.has)
		p.epoch, p.had, p.has = e.Epoch, had, make(map[string]bool)
	case bus.Put:
		p.has[e.Key] = true
	case bus.Delete:
		delete(p.has, e.Key)
	case bus.Synced:
		if e.Behind {
			return nil // the next one tells
		}
		for key := range p.had {
			if !p.has[key] {
				withdrawn = append(withdrawn, key)
			}
		}
		p.had = nil
	}
	return withdrawn
}

func (t *Trust) applyKey(e bus.Event[json.RawMessage]) {
	kind, kid, _ := strings.Cut(e.Key, ".")
	next := t.keys.Load().clone(t.o.Now())
	switch {
	case e.Kind == bus.Delete && kind == "pass":
		delete(next.pass, kid)
	case e.Kind == bus.Delete && kind == "visit":
		next.withdraw(kid, t.o.Now())
	case e.Kind == bus.Delete && kind == "peer":
		delete(next.peer, kid)
	case e.Kind == bus.Put && kind == "peer":
		var k peercert.Root
		if err := json.Unmarshal(e.Value, &k); err != nil || k.ID != kid {
			t.o.Log.Warn("malformed authority of relays on the bus", zap.String("key", e.Key))
			return
		}
		next.peer[kid] = k
	case e.Kind == bus.Put && kind == "pass":
		var k token.PassKey
		if err := json.Unmarshal(e.Value, &k); err != nil || k.ID != kid || len(k.Public) != 32 {
			t.o.Log.Warn("malformed key on the bus", zap.String("key", e.Key))
			return
		}
		next.pass[kid] = k
	case e.Kind == bus.Put && kind == "visit":
		var k token.SealKey
		if err := json.Unmarshal(e.Value, &k); err != nil || k.ID != kid || len(k.Secret) != 32 {
			t.o.Log.Warn("malformed key on the bus", zap.String("key", e.Key))
			return
		}
		next.seal[kid] = k
	default:
		return
	}
	if kind == "visit" && t.o.Sealing != nil {
		t.o.Sealing(next.sealing())
	}
	if kind == "peer" && t.o.Peers != nil {
		t.o.Peers(slices.Collect(maps.Values(next.peer)))
	}
	t.keys.Store(next)
	if e.Kind == bus.Delete && kind == "visit" {
		t.withdrawn(kid)
	}
}

// withdraw forgets a key of visits. One whose time is over ended no visit.
func (k *keyring) withdraw(kid string, now time.Time) {
	if s, ok := k.seal[kid]; ok && now.Before(s.NotAfter) {
		k.gone[kid] = s
	}
	delete(k.seal, kid)
}

// clone drops what no token can need any more, whatever this relay's clock says
// for the moment: a key's own end is checked where it is used.
func (k *keyring) clone(now time.Time) *keyring {
	next := &keyring{
		pass: make(map[string]token.PassKey, len(k.pass)+1), seal: make(map[string]token.SealKey, len(k.seal)+1),
		peer: make(map[string]peercert.Root, len(k.peer)+1), gone: make(map[string]token.SealKey, len(k.gone)+1),
	}
	maps.Copy(next.pass, k.pass)
	maps.Copy(next.seal, k.seal)
	maps.Copy(next.peer, k.peer)
	maps.Copy(next.gone, k.gone)
	now = now.Add(-token.Astray)
	maps.DeleteFunc(next.pass, func(_ string, v token.PassKey) bool { return now.After(v.NotAfter) })
	maps.DeleteFunc(next.seal, func(_ string, v token.SealKey) bool { return now.After(v.NotAfter) })
	maps.DeleteFunc(next.gone, func(_ string, v token.SealKey) bool { return now.After(v.NotAfter) })
	maps.DeleteFunc(next.peer, func(_ string, v peercert.Root) bool { return now.After(v.NotAfter) })
	return next
}
