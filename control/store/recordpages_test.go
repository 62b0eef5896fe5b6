package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/internal/id"
)

// walk reads a list to its end, and says what its pages say of the whole.
func walk[T any](w *world, limit int, read func(tx fleet.Tx, cursor string, limit int) (fleet.Page[T], error)) (all []T, totals []int) {
	w.Helper()
	for cursor := ""; ; {
		var p fleet.Page[T]
		w.see(func(tx fleet.Tx) (err error) { p, err = read(tx, cursor, limit); return err })
		if len(p.Items) > limit || p.Next != "" && len(p.Items) < limit {
			w.Fatalf("%d items in a page of %d, next %q", len(p.Items), limit, p.Next)
		}
		all, totals = append(all, p.Items...), append(totals, p.Total)
		if cursor = p.Next; cursor == "" {
			return all, slices.Compact(totals)
		}
	}
}

// Whatever the page's size, and whoever's they are, each token is there once:
// the newest first, and of one moment by id.
func TestTokenPages(t *testing.T) {
	onEach(t, func(w *world) {
		ben := w.addUser(w.account.ID, "ben@example.com", "Ben", fleet.RoleTechnician, nil)
		other := w.addAccount(w.account.ID, "Other", 0)
		theirs := w.addUser(other.ID, "theirs@example.com", "Theirs", fleet.RoleOwner, nil)
		of := map[id.User][]fleet.APIToken{}
		for i := range 21 {
			u := []fleet.User{w.user, ben, theirs}[i%3]
			k := fleet.APIToken{
				ID: id.NewToken(), Account: u.Account, User: u.ID, Email: u.Email, Name: fmt.Sprint(i), Scopes: []string{"a:b"},
				Created: at(i / 9), Expires: at(100),
			}
			of[u.ID] = append(of[u.ID], k)
			w.do(func(tx fleet.Tx) error { return tx.AddToken(k, fmt.Sprint("hash ", i)) })
		}
		for _, c := range []struct {
			account id.Account
			of      id.User
			want    []fleet.APIToken
		}{
			{w.account.ID, "", slices.Concat(of[w.user.ID], of[ben.ID])},
			{w.account.ID, ben.ID, of[ben.ID]},
			{other.ID, "", of[theirs.ID]},
		} {
			slices.SortFunc(c.want, func(a, b fleet.APIToken) int {
				if n := b.Created.Compare(a.Created); n != 0 {
					return n
				}
				return strings.Compare(string(a.ID), string(b.ID))
			})
			for _, limit := range []int{1, 3, len(c.want), 200} {
				got, totals := walk(w, limit, func(tx fleet.Tx, cursor string, limit int) (fleet.Page[fleet.APIToken], error) {
					return tx.Tokens(c.account, c.of, cursor, limit)
				})
				equal(w.T, got, c.want)
				equal(w.T, totals, []int{len(c.want)})
			}
		}
		w.see(func(tx fleet.Tx) error {
			// Another account's cursor says where to begin, and no more.
			p, err := tx.Tokens(w.account.ID, "", "", 1)
			q, err2 := tx.Tokens(other.ID, "", p.Next, 200)
			equal(w.T, len(q.Items) > 0, true)
			for _, k := range q.Items {
				equal(w.T, k.Account, other.ID)
			}
			return errors.Join(err, err2)
		})
		for _, bad := range []string{"x", "!", store.Cursor("a", "b"), store.Cursor(1), store.Cursor(1.5, "b"), store.Cursor(1, "b", "c"), store.Cursor(1, 2), store.Cursor(1, "\x00")} {
			w.see(func(tx fleet.Tx) error {
				_, err := tx.Tokens(w.account.ID, "", bad, 5)
				wantErr(w.T, err, fleet.ErrBadCursor)
				return nil
			})
		}
	})
}

// Pages of groups are the whole list cut up, also where a name is as long as one
// can be, in bytes and in JSON.
func TestGroupPages(t *testing.T) {
	onEach(t, func(w *world) {
		other := w.addAccount(w.account.ID, "Other", 0)
		names := []string{"beta", "Alpha", "GAMMA 50%", "Épsilon", "delta_1", strings.Repeat("&", 100), strings.Repeat(`"`, 100), strings.Repeat("𝔸", 100)}
		for i, name := range names {
			w.do(func(tx fleet.Tx) error {
				return errors.Join(
					tx.AddGroup(fleet.Group{ID: id.NewGroup(), Account: w.account.ID, Name: name, Created: at(i)}),
					tx.AddGroup(fleet.Group{ID: id.NewGroup(), Account: other.ID, Name: fmt.Sprint("zeta ", i), Created: at(i)}),
				)
			})
		}
		var want []fleet.Group
		w.see(func(tx fleet.Tx) (err error) { want, err = tx.Groups(w.account.ID); return err })
		equal(w.T, len(want), len(names))
		for _, limit := range []int{1, 3, len(names), 200} {
			got, totals := walk(w, limit, func(tx fleet.Tx, cursor string, limit int) (fleet.Page[fleet.Group], error) {
				return tx.GroupPage(w.account.ID, cursor, limit)
			})
			equal(w.T, got, want)
			equal(w.T, totals, []int{len(names)})
		}
		w.see(func(tx fleet.Tx) error {
			p, err := tx.GroupPage(w.account.ID, "", 1)
			q, err2 := tx.GroupPage(other.ID, p.Next, 200)
			equal(w.T, len(q.Items), len(names))
			for _, g := range q.Items {
				equal(w.T, g.Account, other.ID)
			}
			return errors.Join(err, err2)
		})
		for _, bad := range []string{"x", "!", store.Cursor("a"), store.Cursor("a", "b", "c"), store.Cursor(1, "b"), store.Cursor("a\x00", "b")} {
			w.see(func(tx fleet.Tx) error {
				_, err := tx.GroupPage(w.account.ID, bad, 5)
				wantErr(w.T, err, fleet.ErrBadCursor)
				return nil
			})
		}
	})
}
