package store

import (
	"database/sql"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

const accountColumns = "id, parent, name, created"

func scanAccount(r scanner) (a fleet.Account, err error) {
	var parent sql.NullString
	err = r.Scan(&a.ID, &parent, &a.Name, stamp{&a.Created})
	a.Parent = id.Account(parent.String)
	return a, err
}

func (t *tx) Root() (fleet.Account, error) {
	return one(t, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE parent IS NULL")
}

func (t *tx) Account(a id.Account) (fleet.Account, error) {
	return one(t, scanAccount, "SELECT "+accountColumns+" FROM accounts WHERE id = $1", a)
}

func (t *tx) AddAccount(a fleet.Account) error {
	parent := sql.NullString{String: string(a.Parent), Valid: a.Parent != ""}
	return t.insert("INSERT INTO accounts ("+accountColumns+") VALUES ($1, $2, $3, $4)", a.ID, parent, a.Name, micros(a.Created))
}

const userColumns = "u.id, u.account, u.email, u.name, u.role, u.hash, u.created"

func scanUser(r scanner) (u fleet.User, err error) {
	err = r.Scan(&u.ID, &u.Account, &u.Email, &u.Name, &u.Role, &u.Hash, stamp{&u.Created})
	return u, err
}

func (t *tx) User(u id.User) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", u)
}

func (t *tx) UserByEmail(email string) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM users u WHERE u.email = $1", email)
}

func (t *tx) AddUser(u fleet.User) error {
	return t.insert("INSERT INTO users (id, account, email, name, role, hash, created) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		u.ID, u.Account, u.Email, u.Name, u.Role, u.Hash, micros(u.Created))
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
