package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

const (
	// A pass is renewed at a random point between these parts of its life:
	// agents activated together drift apart, and control may be away for hours.
	renewFrom, renewTo = 0.5, 0.8
	// renewSpacing keeps a relay that refuses fresh passes from making the
	// agent ask control for another one at every attempt.
	renewSpacing = time.Minute
	// seekSpacing is the same while no relay is known at all: the provider is
	// just starting, and the next answer may have one.
	seekSpacing = 2 * time.Second
	// While nobody is let in the pass is renewed sooner: what changed is told
	// with it.
	closedFrom, closedTo = 20 * time.Minute, 40 * time.Minute
	// endSpread is how soon after a licence's end agents ask what became of it.
	endSpread = 5 * time.Minute
	// newsSpacing is between renewals that relays ask for: however often they do,
	// control is not asked more often.
	newsSpacing = 10 * time.Second
	// maxNews bounds the time that relays give for such a renewal: thousands of
	// agents take turns, and none waits until its pass has become old.
	maxNews = time.Hour
	// minRenewWait guards control against passes that live for seconds.
	minRenewWait = 30 * time.Second
)

// passes owns the identity's pass: it keeps it fresh and on disk. It never
// compares this machine's clock with anybody else's.
type passes struct {
	ask   func(context.Context, controlapi.RenewalRequest) (controlapi.Grant, error)
	save  func(Identity) error
	fresh func(pass string, moved bool) // tells the relay of a new pass, and whether another region is wished for
	log   *zap.Logger
	met   *metrics

	// turn is held while control is asked: one question at a time.
	turn chan struct{}

	mu      sync.Mutex
	key     ed25519.PrivateKey
	ident   Identity
	due     time.Time // when to renew, on the monotonic clock; zero: at once
	renewed time.Time // when the last renewal that succeeded began, in this process
	newsAt  time.Time // when to renew since a relay asked for it, the last time that one did
	told    time.Time // when the last renewal for such news began
	away    bool      // the last renewal failed, and that was logged
	changed chan struct{}
}

func newPasses(i Identity) *passes {
	p := &passes{ident: i, turn: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
	p.due = dueAfterRestart(i, time.Now())
	return p
}

// dueAfterRestart is when a pass from disk is to be renewed. All there is to
// tell its age is the clock on the wall. If that jumped, the pass is renewed at
// once; if it jumped so that one cannot see it, the relay will say.
func dueAfterRestart(i Identity, now time.Time) time.Time {
	p := i.Pass
	age := now.Round(0).Sub(p.Received)
	if p.Token == "" || age < 0 || age > p.Life {
		return time.Time{}
	}
	return now.Add(renewAt(i) - age)
}

// renewAt is how long after its arrival the identity's pass is renewed.
func renewAt(i Identity) time.Duration {
	life := float64(i.Pass.Life)
	at := between(time.Duration(renewFrom*life), time.Duration(renewTo*life)+1)
	if i.serving() != Connected {
		return min(at, between(closedFrom, closedTo))
	}
	if i.LicenceLeft > 0 {
		return min(at, i.LicenceLeft+between(0, endSpread))
	}
	return at
}

// identity is the identity with its latest pass.
func (p *passes) identity() Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ident
}

// keep renews the pass before it expires, until ctx ends. Control being away
// costs nothing but a line in the log: the relays know the pass.
func (p *passes) keep(ctx context.Context) {
	retry := backoff{base: 10 * time.Second, max: 10 * time.Minute}
	wait := max(p.untilDue(), 0)
	if wait == 0 {
		wait = between(0, time.Second)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed: // somebody else renewed it, or there is news
			wait = p.wait()
			continue
		case <-time.After(wait):
		}
		err := p.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			retry.reset()
			wait = p.wait()
		case errors.Is(err, &fault.Error{Code: fault.DeviceRemoved}):
			wait = slow()
		default:
			wait = hinted(retry.next(), retryHint(err))
		}
	}
}

func (p *passes) untilDue() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.IsZero() {
		return 0
	}
	return time.Until(p.due)
}

// wait is how long to wait for the next renewal after the last one.
func (p *passes) wait() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.newsAt.After(p.renewed) {
		return max(time.Until(p.newsAt), 0)
	}
	return max(time.Until(p.due), minRenewWait)
}

// news is a relay's word that control has something else to say with a pass. A
// renewal that is due for earlier news will tell these too, unless it is due later
// than these are to be heard.
func (p *passes) news(within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	within = min(max(within, 0), maxNews)
	if p.newsAt.After(now) && !p.newsAt.After(now.Add(max(within, newsSpacing))) {
		return
	}
	at := now.Add(between(0, within+1))
	if next := p.told.Add(newsSpacing); at.Before(next) {
		at = next
	}
	p.newsAt = at
	p.tell()
}

// tell has keep look when the next renewal is due.
func (p *passes) tell() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// spent makes the next renewal ask, however new the pass is.
func (p *passes) spent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewed = time.Time{}
}

// take replaces the identity, on disk first. A renewal of the old one that is
// on its way ends before.
func (p *passes) take(ctx context.Context, i Identity, key ed25519.PrivateKey) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.save(i); err != nil {
		return err
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ident, p.key, p.renewed, p.due, p.away = i, key, now, now.Add(renewAt(i)), false
	return nil
}

// renew gets a new pass and the list of relays that live. If one came within
// the last minute it does nothing.
func (p *passes) renew(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	p.mu.Lock()
	ident, key, renewed := p.ident, p.key, p.renewed
	told := p.newsAt.After(renewed) && !p.newsAt.After(began)
	if told {
		p.told = began
	}
	p.mu.Unlock()
	spacing := renewSpacing
	if len(ident.Relays) == 0 {
		spacing = seekSpacing
	}
	if !renewed.IsZero() && began.Sub(renewed) < spacing && !told {
		return nil
	}

	next, err := p.request(ctx, ident, key)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.met.renewed(err)
	p.report(err)
	if err != nil {
		return err
	}
	if err := p.save(next); err != nil {
		// The pass works all the same; after a restart the key gets another.
		p.log.Error("cannot store the new pass", zap.Error(err))
	}
	now := time.Now()
	p.mu.Lock()
	p.ident, p.renewed, p.due = next, began, now.Add(renewAt(next))
	p.mu.Unlock()
	p.tell()
	p.fresh(next.Pass.Token, next.Region != ident.Region)
	return nil
}

func (p *passes) request(ctx context.Context, i Identity, key ed25519.PrivateKey) (Identity, error) {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	g, err := p.ask(ctx, controlapi.RenewalRequest{
		Device: i.Device, Nonce: nonce, Proof: controlapi.RenewalProof(key, i.Device, nonce),
	})
	if err != nil {
		return Identity{}, fmt.Errorf("renew pass: %w", explain(err, time.Now()))
	}
	if g.Device != i.Device {
		return Identity{}, errors.New("renew pass: control answered for another device")
	}
	return i.grant(g, time.Now())
}

// report logs when control goes away and when it is back, not each attempt.
func (p *passes) report(err error) {
	p.mu.Lock()
	was := p.away
	p.away = err != nil
	p.mu.Unlock()
	switch {
	case err != nil && !was:
		p.log.Warn("pass not renewed; trying again quietly", zap.String("code", string(fault.CodeOf(err))), zap.Error(err))
	case err == nil && was:
		p.log.Info("pass renewed again")
	}
}
