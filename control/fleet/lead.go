package fleet

import (
	"slices"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Who may decide about people: the right ManagePeople lets one, but nobody
// touches a person of a role above the own, gives such a role, or gives a
// right that one lacks. Auditors never decide.

// ranked are the roles, each above those before it.
var ranked = []Role{RoleAuditor, RoleTechnician, RoleAdmin, RoleOwner}

func (r Role) known() bool        { return slices.Contains(ranked, r) }
func (r Role) above(o Role) bool  { return slices.Index(ranked, r) > slices.Index(ranked, o) }
func (r Role) mayActivate() bool  { return r == RoleOwner || r == RoleAdmin || r == RoleTechnician }
func (r Role) mayAudit() bool     { return r == RoleOwner || r == RoleAdmin || r == RoleAuditor }
func (r Role) mayEndOthers() bool { return r == RoleOwner || r == RoleAdmin }

// acting is p as the database has it now, so that nobody decides about people
// with rights that were taken away a moment ago.
func acting(tx Tx, p Principal) (Principal, error) {
	u, err := tx.User(p.User)
	if noRow(err) || err == nil && (u.Disabled || u.Account != p.Account) {
		return Principal{}, fault.New(fault.SignInNeeded, "Sign in first.")
	}
	if err != nil {
		return Principal{}, err
	}
	p.Role = u.Role
	p.Access, err = accessOf(tx, u)
	return p, err
}

// leader is acting, of one who may manage people.
func leader(tx Tx, p Principal) (Principal, error) {
	p, err := acting(tx, p)
	if err == nil && (p.Role == RoleAuditor || !p.Access.Default.Has(ManagePeople)) {
		err = fault.New(fault.Forbidden, "Your role may not manage people. Ask an owner or an admin.")
	}
	return p, err
}

// mayReadPeople: who manages them, and auditors, who read everything.
func (p Principal) mayReadPeople() error {
	if p.Role != RoleAuditor && !p.Access.Default.Has(ManagePeople) {
		return fault.New(fault.Forbidden, "Your role may not see the people of this account. Ask an owner or an admin.")
	}
	return nil
}

// mayGive decides whether somebody can get role r from p.
func (p Principal) mayGive(tx Tx, r Role) error {
	if r.above(p.Role) {
		return fault.New(fault.Forbidden, "You may not give a role that is above your own. Ask an owner.").In("role")
	}
	a, err := accessOf(tx, User{Account: p.Account, Role: r})
	if err != nil {
		return err
	}
	if !p.Access.covers(Access{}, a) {
		return fault.New(fault.Forbidden, "You may not give a role that may do what yours may not. Ask an owner.").In("role")
	}
	return nil
}

// covers reports whether a has everything that next has and was has not, on
// every group.
func (a Access) covers(was, next Access) bool {
	groups := []id.Group{""}
	for _, m := range []map[id.Group]Rights{a.Groups, was.Groups, next.Groups} {
		for g := range m {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		given := next.On(g) &^ was.On(g)
		if g != "" {
			given &^= ManagePeople // not a group's
		}
		if !a.On(g).Has(given) {
			return false
		}
	}
	return true
}

// notByToken keeps from API tokens what only a person may do.
func (p Principal) notByToken() error {
	if p.Token != "" {
		return fault.New(fault.Forbidden, "An API token may not do this. Sign in with your password.")
	}
	return nil
}
