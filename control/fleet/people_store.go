package fleet

import (
	"time"

	"trunkline/internal/id"
)

// peopleTx keeps the accounts below, people, what roles may do, and API tokens.
type peopleTx interface {
	// UpdateAccount writes Name and Allotted.
	UpdateAccount(a Account) error
	SetWish(a id.Account, w Wish) error
	// RemoveAccounts removes a and the accounts below it with all they have,
	// but for what the audit says of them.
	RemoveAccounts(a Account) error
	// Resellers lists the accounts right below parent.
	Resellers(parent id.Account, q ListQuery) (Page[Reseller], error)
	Reseller(a id.Account) (Reseller, error)
	CountChildren(parent id.Account) (int, error)
	// DevicesUnder and LiveVisitsUnder are those of a and of all accounts below.
	DevicesUnder(a Account) ([]Device, error)
	LiveVisitsUnder(a Account) ([]Visit, error)

	Users(account id.Account, q ListQuery) (Page[User], error)
	CountUsers(account id.Account) (int, error)
	// CountOwners counts those who can sign in.
	CountOwners(account id.Account) (int, error)
	UserByInvite(hash string) (User, error)
	// UpdateUser writes everything but Account, Email and Created.
	UpdateUser(u User) error
	// RemoveUser ends the sessions and tokens too.
	RemoveUser(u id.User) error
	LiveVisitsOf(u id.User) ([]Visit, error)
	// DropSessionsOf leaves the one session, if there is one, whose hash is keep.
	DropSessionsOf(u id.User, keep string) error

	// SetRoleRights replaces what RoleRights reads.
	SetRoleRights(account id.Account, r Role, rights map[id.Group]Rights) error

	// AddToken keeps the secret's hash.
	AddToken(t APIToken, hash string) error
	APIToken(t id.Token) (APIToken, error)
	// TokenUser finds who holds the token with that hash if it has not expired.
	TokenUser(hash string, now time.Time) (APIToken, User, error)
	// Tokens are the account's, of one user or ("") of all, the newest first.
	Tokens(account id.Account, u id.User, cursor string, limit int) (Page[APIToken], error)
	CountTokens(u id.User) (int, error)
	// UseToken sets LastUsed, if that is later than what is there. It ignores
	// tokens that are not there.
	UseToken(t id.Token, at time.Time) error
	RemoveToken(t id.Token) error
	DropTokensOf(u id.User) error
	DropTokensBefore(expired time.Time) (int, error)
}
