package fleet

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// RelayQuery selects and orders relays. Page by Cursor; Limit 1 to 200.
type RelayQuery struct {
	Search string     // in name, region, version, k=v of labels; case-insensitive
	State  RelayState // "": all
	Sort   string     // "name" (default), "region", "version", "tunnels", "load", "since"
	Desc   bool
	Cursor string
	Limit  int
}

// Relays lists the relays of the installation, which are its owner's and admins'
// to see: those of the account that has no other above it.
func (f *Fleet) Relays(ctx context.Context, p Principal, q RelayQuery) (Page[Relay], error) {
	if err := p.check(); err != nil {
		return Page[Relay]{}, err
	}
	if err := q.check(); err != nil {
		return Page[Relay]{}, err
	}
	if err := f.view(ctx, "list relays", func(tx Tx) error { return mayOperate(tx, p) }); err != nil {
		return Page[Relay]{}, err
	}
	now, blind := f.clock(), f.presence.blindSince()
	if !blind.IsZero() {
		now = blind
	}
	all := f.roster.list(now, f.presence.backSince())
	for i := range all {
		all[i].Unknown = blind
	}
	return q.page(slices.DeleteFunc(all, func(r Relay) bool { return !q.selects(r) }))
}

// mayOperate: p is an owner or admin of the installation's own account.
func mayOperate(tx Tx, p Principal) error {
	p, err := acting(tx, p)
	if err != nil {
		return err
	}
	a, err := tx.Account(p.Account)
	if err == nil && (a.Parent != "" || p.Role != RoleOwner && p.Role != RoleAdmin) {
		err = fault.New(fault.Forbidden, "Only an owner or an admin of the installation's own account sees its relays.")
	}
	return err
}

func (q *RelayQuery) check() error {
	q.Search = strings.TrimSpace(q.Search)
	if err := searchable("search", q.Search); err != nil {
		return err
	}
	switch q.State {
	case "", RelayReady, RelayDraining, RelaySilent, RelayStopped:
	default:
		return fault.New(fault.Invalid, "The state is %s, %s, %s or %s.", RelayReady, RelayDraining, RelaySilent, RelayStopped).In("state")
	}
	if _, ok := relayOrders[cmp.Or(q.Sort, SortName)]; !ok {
		return fault.New(fault.Invalid, "The order is name, region, version, tunnels, load or since.").In("sort")
	}
	if q.Limit < 1 || q.Limit > maxPage {
		return fault.New(fault.Invalid, "A page has 1 to %d items.", maxPage).In("limit")
	}
	return nil
}

func (q RelayQuery) selects(r Relay) bool {
	if q.State != "" && r.State != q.State {
		return false
	}
	in := strings.ToLower(strings.Join(append(r.LabelWords(), string(r.Name), r.Region, r.Version), "\n"))
	return strings.Contains(in, strings.ToLower(q.Search))
}

// relayOrders are the texts by which relays are ordered; equal ones by name.
var relayOrders = map[string]func(Relay) string{
	SortName:  func(r Relay) string { return string(r.Name) },
	SortSince: func(r Relay) string { return r.Since.UTC().Format("2006-01-02T15:04:05.000000000") },
	"region":  func(r Relay) string { return r.Region },
	"version": func(r Relay) string { return r.Version },
	"tunnels": func(r Relay) string { return fmt.Sprintf("%020d", r.Load.Tunnels) },
	"load":    func(r Relay) string { return fmt.Sprintf("%.6f", r.Load.CPU) },
}

// relayPlace is where in an order a relay is, and what a cursor says.
type relayPlace struct {
	key  string
	name id.Relay
}

func (p relayPlace) compare(o relayPlace) int {
	return cmp.Or(cmp.Compare(p.key, o.key), cmp.Compare(p.name, o.name))
}

func (p relayPlace) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(p.name) + "\x00" + p.key))
}

func parseRelayCursor(s string) (relayPlace, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	name, key, ok := strings.Cut(string(b), "\x00")
	if err != nil || !ok || new(id.Relay).UnmarshalText([]byte(name)) != nil {
		return relayPlace{}, ErrBadCursor
	}
	return relayPlace{key: key, name: id.Relay(name)}, nil
}

// page is what follows the cursor. Between two pages loads change: a relay that
// has moved in the order may be on both, or on none.
func (q RelayQuery) page(all []Relay) (Page[Relay], error) {
	key := relayOrders[cmp.Or(q.Sort, SortName)]
	place := func(r Relay) relayPlace { return relayPlace{key(r), r.Name} }
	sign := 1
	if q.Desc {
		sign = -1
	}
	slices.SortFunc(all, func(a, b Relay) int { return sign * place(a).compare(place(b)) })
	out := Page[Relay]{Total: len(all)}
	if q.Cursor != "" {
		after, err := parseRelayCursor(q.Cursor)
		if err != nil {
			return Page[Relay]{}, fault.New(fault.Invalid, "The cursor is not one that this list gave out. Begin again without it.").In("cursor")
		}
		all = slices.DeleteFunc(all, func(r Relay) bool { return sign*place(r).compare(after) <= 0 })
	}
	out.Items = all
	if len(all) > q.Limit {
		out.Items = all[:q.Limit]
		out.Next = place(out.Items[q.Limit-1]).cursor()
	}
	return out, nil
}
