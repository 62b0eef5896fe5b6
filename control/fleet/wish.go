package fleet

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
)

// Wish is where the tunnels of an account's devices should be.
type Wish struct {
	Region string // relays of it come first; "": any
	Second bool   // each device keeps a second tunnel, at another relay
}

func (w Wish) Tag() string { return tag(w.Region, w.Second) }

// Override is what is said of one device against its account's wish for a
// second tunnel.
type Override string

const (
	AsAccount Override = ""
	On        Override = "on"
	Off       Override = "off"
)

func (o Override) check() error {
	switch o {
	case AsAccount, On, Off:
		return nil
	}
	return fault.New(fault.Invalid, "A second tunnel is %s, %s, or as the account has it.", On, Off).In("second_tunnel")
}

// wish is what holds for d in an account with the wish w.
func (d Device) wish(w Wish) Wish {
	if d.Region != "" {
		w.Region = d.Region
	}
	switch d.Second {
	case On:
		w.Second = true
	case Off:
		w.Second = false
	}
	return w
}

// wishEvery is between two renewals of passes that one wish causes, whatever relays
// the agents are at: each costs a few milliseconds of processors here and at the
// database, which activations and people in the console need too, and may have its
// agent open a tunnel right away, which costs relays as much.
const wishEvery = 30 * time.Millisecond

const maxRegion = 63 // characters

var regions = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// regionName is the form of a relay's region; "" is none. That no relay is there
// is no error: one may come.
func regionName(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s != "" && (len(s) > maxRegion || !regions.MatchString(s)) {
		return "", fault.New(fault.Invalid, "A region has at most %d lower-case letters, digits, dots and hyphens, as in the relays' configuration.", maxRegion).In("region")
	}
	return s, nil
}

// Wish is the account's own.
func (f *Fleet) Wish(ctx context.Context, p Principal) (Wish, error) {
	if err := p.check(); err != nil {
		return Wish{}, err
	}
	var w Wish
	err := f.view(ctx, "read tunnel settings", func(tx Tx) error {
		a, err := tx.Account(p.Account)
		w = a.Wish
		return err
	})
	return w, err
}

// WishEdit changes what is not nil.
type WishEdit struct {
	Match  string
	Region *string
	Second *bool
}

// EditWish changes where the tunnels of the account's devices should be. Agents
// are asked to renew their pass, and hear of it with the new one.
func (f *Fleet) EditWish(ctx context.Context, p Principal, x WishEdit) (Wish, error) {
	if err := p.check(); err != nil {
		return Wish{}, err
	}
	var region string
	var err error
	if x.Region != nil {
		if region, err = regionName(*x.Region); err != nil {
			return Wish{}, err
		}
	}
	var w, was Wish
	err = f.decide(ctx, p.entry(f.clock(), ActionTunnelsEdit, "tunnels of the account"), func(tx Tx, e *AuditEntry) error {
		p, err := acting(tx, p)
		if err != nil {
			return err
		}
		if p.Role != RoleOwner && p.Role != RoleAdmin {
			return fault.New(fault.Forbidden, "Only an owner or an admin says where the account's tunnels should be.")
		}
		a, err := tx.Account(p.Account)
		if err != nil {
			return err
		}
		w, was = a.Wish, a.Wish
		if err := matches(x.Match, w.Tag()); err != nil {
			return err
		}
		if x.Region != nil {
			w.Region = region
		}
		if x.Second != nil {
			w.Second = *x.Second
		}
		e.Detail = fmt.Sprintf("region %q, was %q; second tunnel %t, was %t", w.Region, was.Region, w.Second, was.Second)
		return tx.SetWish(a.ID, w)
	})
	if err == nil && w != was {
		within := time.Duration(f.presence.connected(p.Account)) * wishEvery
		f.opts.Wished(bus.WishNotice{Account: p.Account, WithinMS: within.Milliseconds()})
	}
	return w, err
}
