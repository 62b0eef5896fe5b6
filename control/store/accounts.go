package store

import (
	"database/sql"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const accountColumns = "id, parent, path, name, allotted, used, created, region, second"

func scanAccount(r scanner) (a fleet.Account, err error) {
	var parent sql.NullString
	err = r.Scan(&a.ID, &parent, &a.Path, &a.Name, &a.Allotted, &a.Used, stamp{&a.Created}, &a.Wish.Region, flag{&a.Wish.Second})
	a.Parent = id.Account(parent.String)
	return a, err
}

func (t *tx) Root() (fleet.Account, error) {
	return one(t, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE parent IS NULL")
}

func (t *tx) Account(a id.Account) (fleet.Account, error) {
	return one(t, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE id = $1", a)
}

// AddAccount makes the path; Used is the sites' to count.
func (t *tx) AddAccount(a fleet.Account) error {
	path := string(a.ID) + "/"
	if a.Parent != "" {
		p, err := t.Account(a.Parent)
		if err != nil {
			return err
		}
		path = p.Path + path
	}
	parent := sql.NullString{String: string(a.Parent), Valid: a.Parent != ""}
	return t.unique("INSERT INTO accounts ("+accountColumns+", sort_name) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9)",
		a.ID, parent, path, a.Name, a.Allotted, micros(a.Created), a.Wish.Region, number(a.Wish.Second), strings.ToLower(a.Name))
}

const userColumns = "u.id, u.account, u.email, u.name, u.role, u.hash, u.disabled, COALESCE(u.invite, ''), u.invite_expires, u.last_seen, u.created"

func userFields(u *fleet.User) []any {
	return []any{&u.ID, &u.Account, &u.Email, &u.Name, &u.Role, &u.Hash, flag{&u.Disabled}, &u.Invite, stamp{&u.Invited}, stamp{&u.LastSeen}, stamp{&u.Created}}
}

func scanUser(r scanner) (u fleet.User, err error) {
	err = r.Scan(userFields(&u)...)
	return u, err
}

func (t *tx) User(u id.User) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", u)
}

func (t *tx) UserByEmail(email string) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM users u WHERE u.email = $1", email)
}

func (t *tx) AddUser(u fleet.User) error {
	return t.unique(`INSERT INTO users (id, account, email, name, sort_name, role, hash, disabled, invite, invite_expires, last_seen, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		u.ID, u.Account, u.Email, u.Name, strings.ToLower(u.Name), u.Role, u.Hash, number(u.Disabled), optional(u.Invite), micros(u.Invited),
		micros(u.LastSeen), micros(u.Created))
}

func (t *tx) AddSession(hash string, u id.User, created, expires time.Time, keep int) error {
	err := t.insert("INSERT INTO sessions (hash, user_id, created, expires) VALUES ($1, $2, $3, $4)", hash, u, micros(created), micros(expires))
	if err != nil {
		return err
	}
	return t.insert(`DELETE FROM sessions WHERE user_id = $1 AND hash <> $2 AND hash NOT IN (
		SELECT hash FROM sessions WHERE user_id = $1 AND hash <> $2 ORDER BY created DESC, hash LIMIT $3)`, u, hash, keep-1)
}

func (t *tx) SessionUser(hash string, now time.Time) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.hash = $1 AND s.expires > $2", hash, micros(now))
}

func (t *tx) DropSession(hash string) error {
	return t.insert("DELETE FROM sessions WHERE hash = $1", hash)
}

func (t *tx) DropSessionsBefore(now time.Time) (int, error) {
	return t.exec("DELETE FROM sessions WHERE expires <= $1", micros(now))
}
