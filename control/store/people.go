package store

import (
	"fmt"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

func (t *tx) Users(account id.Account, q fleet.ListQuery) (fleet.Page[fleet.User], error) {
	var w where
	w.and("u.account = ?", account)
	w.containing("u.sort_name || ' ' || u.email", q.Search)
	return listed(t, "users u", "u.sort_name, u.id", "SELECT "+userColumns+" FROM users u", scanUser, w, q,
		func(u fleet.User) string { return cursor(strings.ToLower(u.Name), u.ID) })
}

// listed reads a page of what is ordered by the two columns of order.
func listed[T any](t *tx, from, order, query string, scan func(scanner) (T, error), w where, q fleet.ListQuery, key func(T) string) (fleet.Page[T], error) {
	total, more, err := t.countSome(from, w)
	if err != nil {
		return fleet.Page[T]{}, err
	}
	if q.Cursor != "" {
		var name, last string
		if err := readCursor(q.Cursor, &name, &last); err != nil {
			return fleet.Page[T]{}, err
		}
		w.and("("+order+") > (?, ?)", name, last)
	}
	items, err := all(t, scan, query+w.String()+fmt.Sprintf(" ORDER BY %s LIMIT %d", order, q.Limit+1), w.args...)
	if err != nil {
		return fleet.Page[T]{}, err
	}
	p := page(items, q.Limit, total, key)
	p.More = more
	return p, nil
}

func (t *tx) CountUsers(account id.Account) (int, error) {
	return t.count("SELECT COUNT(*) FROM users WHERE account = $1", account)
}

func (t *tx) CountOwners(account id.Account) (int, error) {
	return t.count("SELECT COUNT(*) FROM users WHERE account = $1 AND role = $2 AND disabled = 0 AND hash <> ''", account, fleet.RoleOwner)
}

func (t *tx) UserByInvite(hash string) (fleet.User, error) {
	return one(t, scanUser, "SELECT "+userColumns+" FROM users u WHERE u.invite = $1", hash)
}

func (t *tx) UpdateUser(u fleet.User) error {
	return t.change(`UPDATE users SET name = $2, sort_name = $3, role = $4, hash = $5, disabled = $6, invite = $7, invite_expires = $8, last_seen = $9
		WHERE id = $1`,
		u.ID, u.Name, strings.ToLower(u.Name), u.Role, u.Hash, number(u.Disabled), optional(u.Invite), micros(u.Invited), micros(u.LastSeen))
}

func (t *tx) RemoveUser(u id.User) error { return t.change("DELETE FROM users WHERE id = $1", u) }

func (t *tx) LiveVisitsOf(u id.User) ([]fleet.Visit, error) {
	return all(t, scanVisit, selectVisit+" WHERE v.ended = 0 AND v.user_id = $1 ORDER BY v.started, v.id", u)
}

func (t *tx) DropSessionsOf(u id.User, keep string) error {
	return t.insert("DELETE FROM sessions WHERE user_id = $1 AND hash <> $2", u, keep)
}

func (t *tx) SetRoleRights(account id.Account, r fleet.Role, rights map[id.Group]fleet.Rights) error {
	if err := t.insert("DELETE FROM role_rights WHERE account = $1 AND role = $2", account, r); err != nil {
		return err
	}
	for g, may := range rights {
		if err := t.insert("INSERT INTO role_rights (account, role, grp, rights) VALUES ($1, $2, $3, $4)", account, r, g, int64(may)); err != nil {
			return err
		}
	}
	return nil
}

const tokenColumns = "k.id, k.account, k.user_id, u.email, k.name, k.scopes, k.created, k.expires, k.last_used"

func tokenFields(k *fleet.APIToken, scopes *string) []any {
	return []any{&k.ID, &k.Account, &k.User, &k.Email, &k.Name, scopes, stamp{&k.Created}, stamp{&k.Expires}, stamp{&k.LastUsed}}
}

func scanToken(r scanner) (k fleet.APIToken, err error) {
	var scopes string
	err = r.Scan(tokenFields(&k, &scopes)...)
	k.Scopes = strings.Fields(scopes)
	return k, err
}

const fromTokens = " FROM api_tokens k JOIN users u ON u.id = k.user_id"

func (t *tx) AddToken(k fleet.APIToken, hash string) error {
	return t.insert(`INSERT INTO api_tokens (id, account, user_id, name, hash, scopes, created, expires, last_used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.ID, k.Account, k.User, k.Name, hash, strings.Join(k.Scopes, " "), micros(k.Created), micros(k.Expires), micros(k.LastUsed))
}

func (t *tx) APIToken(k id.Token) (fleet.APIToken, error) {
	return one(t, scanToken, "SELECT "+tokenColumns+fromTokens+" WHERE k.id = $1", k)
}

func (t *tx) TokenUser(hash string, now time.Time) (fleet.APIToken, fleet.User, error) {
	type row struct {
		token fleet.APIToken
		user  fleet.User
	}
	x, err := one(t, func(r scanner) (x row, err error) {
		var scopes string
		err = r.Scan(append(tokenFields(&x.token, &scopes), userFields(&x.user)...)...)
		x.token.Scopes = strings.Fields(scopes)
		return x, err
	}, "SELECT "+tokenColumns+", "+userColumns+fromTokens+" WHERE k.hash = $1 AND k.expires > $2", hash, micros(now))
	return x.token, x.user, err
}

func (t *tx) Tokens(account id.Account, u id.User, after string, limit int) (fleet.Page[fleet.APIToken], error) {
	var w where
	w.and("k.account = ?", account)
	if u != "" {
		w.and("k.user_id = ?", u)
	}
	total, more, err := t.countSome("api_tokens k", w)
	if err != nil {
		return fleet.Page[fleet.APIToken]{}, err
	}
	if after != "" {
		var created int64
		var last string
		if err := readCursor(after, &created, &last); err != nil {
			return fleet.Page[fleet.APIToken]{}, err
		}
		// The first of the two is what an index can be asked for.
		w.and("k.created <= ? AND (k.created < ? OR k.id > ?)", created, created, last)
	}
	items, err := all(t, scanToken, "SELECT "+tokenColumns+fromTokens+w.String()+
		fmt.Sprintf(" ORDER BY k.created DESC, k.id LIMIT %d", limit+1), w.args...)
	if err != nil {
		return fleet.Page[fleet.APIToken]{}, err
	}
	p := page(items, limit, total, func(k fleet.APIToken) string { return cursor(micros(k.Created), k.ID) })
	p.More = more
	return p, nil
}

func (t *tx) CountTokens(u id.User) (int, error) {
	return t.count("SELECT COUNT(*) FROM api_tokens WHERE user_id = $1", u)
}

func (t *tx) UseToken(k id.Token, at time.Time) error {
	return t.insert("UPDATE api_tokens SET last_used = $2 WHERE id = $1 AND last_used < $2", k, micros(at))
}

func (t *tx) RemoveToken(k id.Token) error {
	return t.change("DELETE FROM api_tokens WHERE id = $1", k)
}

func (t *tx) DropTokensOf(u id.User) error {
	return t.insert("DELETE FROM api_tokens WHERE user_id = $1", u)
}

func (t *tx) DropTokensBefore(expired time.Time) (int, error) {
	return t.exec("DELETE FROM api_tokens WHERE expires <= $1", micros(expired))
}
