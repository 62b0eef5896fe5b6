package console

import (
	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// What a page offers. Fleet decides again, and its word counts: these only
// keep buttons away that would be refused.

func offersAudit(p fleet.Principal) bool { return manages(p.Role) || p.Role == fleet.RoleAuditor }

func offersEnd(p fleet.Principal, of id.User) bool { return manages(p.Role) || of == p.User }

func manages(r fleet.Role) bool { return r == fleet.RoleOwner || r == fleet.RoleAdmin }

func offersPeople(p fleet.Principal) bool {
	return p.Role != fleet.RoleAuditor && p.Access.Default.Has(fleet.ManagePeople)
}
