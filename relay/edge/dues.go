package edge

import (
	"time"

	"trunkline/internal/id"
)

// dues are an exchange's quotas: its device's and its account's; nil ones
// allow everything.
type dues [2]*quota

// enterQuotas counts the exchange in where a limit is on, once.
func (x *exchange) enterQuotas() error {
	if x.dues != (dues{}) {
		return nil
	}
	l := x.e.live.Load()
	if err := x.dues.enter(l, x.route.Device, x.route.Account); err != nil {
		return err
	}
	if l.paced {
		x.over = make(chan struct{})
	}
	return nil
}

// enter counts one in at its device and account, until leave.
func (d *dues) enter(l *live, device id.Device, account id.Account) error {
	if l.byDevice == nil && l.byAccount == nil {
		return nil
	}
	now := time.Now()
	for i, of := range [2]struct {
		all *quotas
		key string
	}{{l.byDevice, string(device)}, {l.byAccount, string(account)}} {
		q, err := of.all.enter(of.key, now)
		if err != nil {
			return err
		}
		d[i] = q
	}
	return nil
}

func (d *dues) leave() {
	for _, q := range d {
		q.leave()
	}
}

// open takes a new stream of each.
func (d *dues) open() error {
	if *d == (dues{}) {
		return nil
	}
	now := time.Now()
	for _, q := range d {
		if err := q.open(now); err != nil {
			return err
		}
	}
	return nil
}

// pay takes n bytes of each and says how long to wait.
func (d *dues) pay(n int) (wait time.Duration) {
	now := time.Now()
	for _, q := range d {
		if w := q.pay(n, now); w > 0 {
			q.all.limited.bytes.Inc()
			wait = max(wait, w)
		}
	}
	return wait
}

// toll is what one direction of an exchange pays. It is paid after a piece has
// been passed on and before the next one is read: who owes is not read from,
// and nothing that was read is held back or lost.
type toll struct {
	x    *exchange
	owed int // bytes
}

// owe reports whether there is something to wait for.
func (d *dues) owe() bool {
	if *d == (dues{}) {
		return false
	}
	now := time.Now()
	for _, q := range d {
		if q.pay(0, now) > 0 {
			return true
		}
	}
	return false
}

// tollPiece is how much passes between two looks at the quotas.
const tollPiece = largeBuf

// wait pays when a piece is due, and waits until the quotas are out of debt or
// the exchange or over has ended.
// It reports whether it did.
func (t *toll) wait(over <-chan struct{}) bool {
	return t.owed >= tollPiece && t.pay(over)
}

func (t *toll) pay(over <-chan struct{}) bool {
	if t.x.over == nil {
		return false
	}
	d := t.x.dues.pay(t.owed)
	t.owed = 0
	if d <= 0 {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.x.over:
	case <-t.x.e.goAway:
	case <-over:
	}
	return true
}

// settle pays the rest without waiting for it: the next exchange will.
func (t *toll) settle() {
	if t.x.over != nil && t.owed > 0 {
		t.x.dues.pay(t.owed)
		t.owed = 0
	}
}
