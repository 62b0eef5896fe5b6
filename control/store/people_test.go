package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func (w *world) addUser(account id.Account, email, name string, role fleet.Role, more func(*fleet.User)) fleet.User {
	w.Helper()
	u := fleet.User{ID: id.NewUser(), Account: account, Email: email, Name: name, Role: role, Hash: "h", Created: at(1)}
	if more != nil {
		more(&u)
	}
	w.do(func(tx fleet.Tx) error { return tx.AddUser(u) })
	return u
}

func (w *world) addAccount(parent id.Account, name string, allotted int) (a fleet.Account) {
	w.Helper()
	a = fleet.Account{ID: id.NewAccount(), Parent: parent, Name: name, Allotted: allotted, Created: at(0)}
	w.do(func(tx fleet.Tx) (err error) {
		if err = tx.AddAccount(a); err == nil {
			a, err = tx.Account(a.ID)
		}
		return err
	})
	return a
}

func TestUsersChangeAndGo(t *testing.T) {
	onEach(t, func(w *world) {
		u := w.addUser(w.account.ID, "b@example.com", "B", fleet.RoleAdmin, func(u *fleet.User) {
			u.Hash, u.Invite, u.Invited = "", "invite-hash", at(50)
		})
		w.do(func(tx fleet.Tx) error {
			got, err := tx.UserByInvite("invite-hash")
			equal(w.T, got, u)
			n, err2 := tx.CountOwners(w.account.ID)
			equal(w.T, n, 1)
			all, err3 := tx.CountUsers(w.account.ID)
			equal(w.T, all, 2)
			return errors.Join(err, err2, err3)
		})
		u.Name, u.Role, u.Hash, u.Invite, u.Invited, u.LastSeen = "Élise", fleet.RoleOwner, "h2", "", time.Time{}, at(9)
		w.do(func(tx fleet.Tx) error { return tx.UpdateUser(u) })
		w.see(func(tx fleet.Tx) error {
			got, err := tx.User(u.ID)
			equal(w.T, got, u)
			_, err2 := tx.UserByInvite("invite-hash")
			wantErr(w.T, err2, fleet.ErrNoRow)
			_, err2 = tx.UserByInvite("")
			wantErr(w.T, err2, fleet.ErrNoRow)
			n, err3 := tx.CountOwners(w.account.ID)
			equal(w.T, n, 2)
			return errors.Join(err, err3)
		})
		// An owner who is disabled, or has no password, is none that counts.
		off, pending := u, u
		off.Disabled, pending.Hash = true, ""
		for _, x := range []fleet.User{off, pending} {
			w.do(func(tx fleet.Tx) error {
				err := tx.UpdateUser(x)
				n, err2 := tx.CountOwners(w.account.ID)
				equal(w.T, n, 1)
				return errors.Join(err, err2)
			})
		}
		k := fleet.APIToken{ID: id.NewToken(), Account: w.account.ID, User: u.ID, Name: "t", Scopes: []string{"a:b"}, Created: at(0), Expires: at(100)}
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.AddSession("s1", u.ID, at(1), at(90), 9), tx.AddSession("s2", u.ID, at(2), at(90), 9),
				tx.AddToken(k, "kh"), tx.DropSessionsOf(u.ID, "s2"))
		})
		w.see(func(tx fleet.Tx) error {
			_, err := tx.SessionUser("s1", at(3))
			wantErr(w.T, err, fleet.ErrNoRow)
			_, err = tx.SessionUser("s2", at(3))
			return err
		})
		w.do(func(tx fleet.Tx) error { return tx.RemoveUser(u.ID) })
		w.see(func(tx fleet.Tx) error {
			_, err := tx.SessionUser("s2", at(3))
			wantErr(w.T, err, fleet.ErrNoRow)
			_, _, err = tx.TokenUser("kh", at(3))
			wantErr(w.T, err, fleet.ErrNoRow)
			return nil
		})
		wantErr(w.T, w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.RemoveUser(u.ID) }), fleet.ErrNoRow)
		wantErr(w.T, w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.UpdateUser(u) }), fleet.ErrNoRow)
	})
}

// Lists of people and of resellers are complete, in order and searched alike.
func TestPeoplePages(t *testing.T) {
	onEach(t, func(w *world) {
		other := w.addAccount(w.account.ID, "Other", 0)
		w.addUser(other.ID, "elsewhere@example.com", "beta", fleet.RoleOwner, nil)
		want := 1
		for i := range 7 {
			w.addUser(w.account.ID, fmt.Sprintf("p%d@example.com", i), []string{"beta", "Beta", "50% Éa"}[i%3], fleet.RoleAdmin, nil)
			want++
		}
		read := func(q fleet.ListQuery) (p fleet.Page[fleet.User]) {
			w.see(func(tx fleet.Tx) (err error) { p, err = tx.Users(w.account.ID, q); return err })
			return p
		}
		for _, limit := range []int{1, 3, 8, 200} {
			var seen []id.User
			for q := (fleet.ListQuery{Limit: limit}); ; {
				p := read(q)
				equal(w.T, p.Total, want)
				for _, u := range p.Items {
					seen = append(seen, u.ID)
				}
				if q.Cursor = p.Next; q.Cursor == "" {
					break
				}
			}
			if slices.Sort(seen); len(slices.Compact(seen)) != want {
				w.Errorf("limit %d: %d of %d", limit, len(seen), want)
			}
		}
		for search, n := range map[string]int{"BETA": 5, "éA": 2, "%": 2, "P3@": 1, "elsewhere": 0, "' OR 1=1 --": 0} {
			if p := read(fleet.ListQuery{Search: search, Limit: 10}); len(p.Items) != n || p.Total != n {
				w.Errorf("%q: %d of %d, want %d", search, len(p.Items), p.Total, n)
			}
		}
		w.see(func(tx fleet.Tx) error {
			_, err := tx.Users(w.account.ID, fleet.ListQuery{Limit: 5, Cursor: "!"})
			wantErr(w.T, err, fleet.ErrBadCursor)
			_, err = tx.Resellers(w.account.ID, fleet.ListQuery{Limit: 5, Cursor: "!"})
			wantErr(w.T, err, fleet.ErrBadCursor)
			return nil
		})
	})
}

func TestResellers(t *testing.T) {
	onEach(t, func(w *world) {
		a := w.addAccount(w.account.ID, "Acme", 10)
		b := w.addAccount(w.account.ID, "beta", 5)
		c := w.addAccount(a.ID, "Acme's own", 3)
		w.addUser(a.ID, "off@example.com", "Off", fleet.RoleOwner, func(u *fleet.User) { u.Disabled = true })
		first := w.addUser(a.ID, "first@example.com", "First", fleet.RoleOwner, func(u *fleet.User) { u.Created = at(2) })
		w.addUser(a.ID, "second@example.com", "Second", fleet.RoleOwner, func(u *fleet.User) { u.Created = at(3) })
		w.see(func(tx fleet.Tx) error {
			p, err := tx.Resellers(w.account.ID, fleet.ListQuery{Limit: 10})
			want := []fleet.Reseller{{Account: a, Below: 3, Owner: first}, {Account: b}}
			equal(w.T, p.Items, want)
			one, err2 := tx.Resellers(w.account.ID, fleet.ListQuery{Limit: 1, Search: "A"})
			equal(w.T, []any{len(one.Items), one.Total, one.Next != ""}, []any{1, 2, true})
			two, err3 := tx.Resellers(w.account.ID, fleet.ListQuery{Limit: 1, Search: "A", Cursor: one.Next})
			equal(w.T, two.Items, want[1:])
			none, err4 := tx.Resellers(c.ID, fleet.ListQuery{Limit: 10})
			equal(w.T, len(none.Items), 0)
			r, err5 := tx.Reseller(c.ID)
			equal(w.T, r, fleet.Reseller{Account: c})
			_, err6 := tx.Reseller(id.NewAccount())
			wantErr(w.T, err6, fleet.ErrNoRow)
			n, err7 := tx.CountChildren(w.account.ID)
			equal(w.T, n, 2)
			return errors.Join(err, err2, err3, err4, err5, err7)
		})
		a.Name, a.Allotted = "Zeta", 20
		w.do(func(tx fleet.Tx) error { return tx.UpdateAccount(a) })
		w.see(func(tx fleet.Tx) error {
			p, err := tx.Resellers(w.account.ID, fleet.ListQuery{Limit: 10})
			equal(w.T, p.Items[1].Account, a)
			return err
		})
	})
}

// An account goes with all that is below it, and nothing else does.
func TestAccountsGo(t *testing.T) {
	onEach(t, func(w *world) {
		a := w.addAccount(w.account.ID, "Acme", 10)
		b := w.addAccount(a.ID, "below", 5)
		next := w.addAccount(w.account.ID, "Next", 5)
		root, kept := w.account, w.device
		var under []id.Device
		for _, x := range []fleet.Account{a, b} {
			u := w.addUser(x.ID, string(x.ID)+"@example.com", "U", fleet.RoleOwner, nil)
			w.account, w.user = x, u
			w.device = w.addDevice(id.Serial("SN-"+x.Name[:1]+"0001"), "X")
			under = append(under, w.device.ID)
			v := w.addVisit(at(5), "handover"+x.Name)
			g := fleet.Group{ID: id.NewGroup(), Account: x.ID, Name: "G", Created: at(0)}
			w.do(func(tx fleet.Tx) error {
				return errors.Join(tx.AddGroup(g), tx.SetRoleRights(x.ID, fleet.RoleAdmin, map[id.Group]fleet.Rights{"": 1, g.ID: 0}),
					tx.AddSession("s"+x.Name, u.ID, at(1), at(90), 9), tx.CountTraffic(v.ID, "r1", 1, 1, 1),
					tx.AddDeviceEvent(w.device.ID, fleet.StatusChange{At: at(1), Kind: "activated"}, 10),
					tx.AddToken(fleet.APIToken{ID: id.NewToken(), Account: x.ID, User: u.ID, Name: "t", Created: at(0), Expires: at(99)}, "k"+x.Name))
			})
		}
		w.account, w.device = root, kept
		w.do(func(tx fleet.Tx) error {
			ds, err := tx.DevicesUnder(a)
			got := []id.Device{}
			for _, d := range ds {
				got = append(got, d.ID)
			}
			slices.Sort(got)
			slices.Sort(under)
			equal(w.T, got, under)
			vs, err2 := tx.LiveVisitsUnder(a)
			equal(w.T, len(vs), 2)
			return errors.Join(err, err2, tx.RemoveAccounts(a))
		})
		w.see(func(tx fleet.Tx) error {
			for _, x := range []fleet.Account{a, b} {
				_, err := tx.Account(x.ID)
				wantErr(w.T, err, fleet.ErrNoRow)
			}
			_, err := tx.Account(next.ID)
			_, err2 := tx.Device(kept.ID)
			n, err3 := tx.CountSites()
			equal(w.T, n, 1)
			vs, err4 := tx.LiveVisits("")
			equal(w.T, len(vs), 0)
			return errors.Join(err, err2, err3, err4)
		})
	})
}

func TestRoleRights(t *testing.T) {
	onEach(t, func(w *world) {
		g := fleet.Group{ID: id.NewGroup(), Account: w.account.ID, Name: "G", Created: at(0)}
		want := map[id.Group]fleet.Rights{"": fleet.See, g.ID: fleet.AllRights}
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.AddGroup(g),
				tx.SetRoleRights(w.account.ID, fleet.RoleAdmin, map[id.Group]fleet.Rights{"": fleet.AllRights}),
				tx.SetRoleRights(w.account.ID, fleet.RoleTechnician, map[id.Group]fleet.Rights{"": 0, g.ID: 0}),
				tx.SetRoleRights(w.account.ID, fleet.RoleTechnician, want))
		})
		w.do(func(tx fleet.Tx) error {
			got, err := tx.RoleRights(w.account.ID, fleet.RoleTechnician)
			equal(w.T, got, want)
			return errors.Join(err, tx.SetRoleRights(w.account.ID, fleet.RoleTechnician, nil))
		})
		w.see(func(tx fleet.Tx) error {
			got, err := tx.RoleRights(w.account.ID, fleet.RoleTechnician)
			equal(w.T, len(got), 0)
			admin, err2 := tx.RoleRights(w.account.ID, fleet.RoleAdmin)
			equal(w.T, len(admin), 1)
			return errors.Join(err, err2)
		})
	})
}

func TestTokens(t *testing.T) {
	onEach(t, func(w *world) {
		k := fleet.APIToken{
			ID: id.NewToken(), Account: w.account.ID, User: w.user.ID, Email: w.user.Email, Name: "CI", Scopes: []string{"a:b", "c:d"},
			Created: at(0), Expires: at(100),
		}
		w.do(func(tx fleet.Tx) error { return tx.AddToken(k, "kh") })
		wantErr(w.T, w.Tx(w.Context(), func(tx fleet.Tx) error {
			again := k
			again.ID = id.NewToken()
			return tx.AddToken(again, "kh")
		}), fleet.ErrTaken)
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.UseToken(k.ID, at(40)), tx.UseToken(k.ID, at(30)), tx.UseToken(id.NewToken(), at(1)))
		})
		k.LastUsed = at(40)
		w.see(func(tx fleet.Tx) error {
			got, u, err := tx.TokenUser("kh", at(99))
			equal(w.T, got, k)
			equal(w.T, u, w.user)
			_, _, err2 := tx.TokenUser("kh", at(100))
			wantErr(w.T, err2, fleet.ErrNoRow)
			one, err3 := tx.APIToken(k.ID)
			equal(w.T, one, k)
			for _, whose := range []id.User{"", w.user.ID} {
				ks, err := tx.Tokens(w.account.ID, whose, "", 9)
				equal(w.T, ks, fleet.Page[fleet.APIToken]{Items: []fleet.APIToken{k}, Total: 1})
				wantErr(w.T, err, nil)
			}
			none, err4 := tx.Tokens(w.account.ID, id.NewUser(), "", 9)
			equal(w.T, len(none.Items)+none.Total, 0)
			n, err5 := tx.CountTokens(w.user.ID)
			m, err6 := tx.CountTokens(id.NewUser())
			equal(w.T, []int{n, m}, []int{1, 0})
			return errors.Join(err, err3, err4, err5, err6)
		})
		w.do(func(tx fleet.Tx) error {
			n, err := tx.DropTokensBefore(at(99))
			equal(w.T, n, 0)
			return errors.Join(err, tx.RemoveToken(k.ID), tx.AddToken(k, "kh"), tx.DropTokensOf(id.NewUser()))
		})
		w.do(func(tx fleet.Tx) error {
			n, err := tx.DropTokensBefore(at(100))
			equal(w.T, n, 1)
			return errors.Join(err, tx.AddToken(k, "kh"), tx.DropTokensOf(w.user.ID))
		})
		wantErr(w.T, w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.RemoveToken(k.ID) }), fleet.ErrNoRow)
	})
}

func TestVisitsOfAPerson(t *testing.T) {
	onEach(t, func(w *world) {
		mine := w.addVisit(at(0), "h0")
		over := w.addVisit(at(1), "h1")
		over.Ended, over.EndCode = at(2), fault.VisitEnded
		w.user = w.addUser(w.account.ID, "b@example.com", "B", fleet.RoleAdmin, nil)
		w.addVisit(at(3), "h2")
		w.do(func(tx fleet.Tx) error {
			return tx.UpdateVisit(over)
		})
		w.see(func(tx fleet.Tx) error {
			vs, err := tx.LiveVisitsOf(mine.User)
			equal(w.T, vs, []fleet.Visit{mine})
			return err
		})
	})
}
