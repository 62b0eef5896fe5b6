package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// whole reads a list by its client to the end, and gives the cursors it was given.
func whole[T any](t *testing.T, limit int, read func(controlapi.PageQuery) (controlapi.Page[T], error)) (all []T, cursors []string) {
	t.Helper()
	for q := (controlapi.PageQuery{Limit: limit}); ; {
		p := must(read(q))(t)
		all = append(all, p.Items...)
		if q.Cursor = p.Next; q.Cursor == "" {
			if p.Total != len(all) {
				t.Errorf("a total of %d, and %d items", p.Total, len(all))
			}
			return all, cursors
		}
		cursors = append(cursors, q.Cursor)
	}
}

// Groups and tokens are read in pages from end to end; without parameters the
// first has 50. A cursor is no way into another account, and a forged one is
// refused by name.
func TestGroupsAndTokensInPages(t *testing.T) {
	w := newRealWorld(t)
	ctx := t.Context()
	owner := w.client(t).WithToken(must(w.client(t).SignIn(ctx, "anna@example.com", password))(t).Token)
	ben := w.client(t).WithToken(must(w.client(t).AcceptInvitation(ctx, must(owner.AddReseller(ctx,
		controlapi.NewReseller{Name: "Ben", Email: "ben@example.com", Person: "Ben"}))(t).Invitation.Token, password))(t).Token)

	var groups []id.Group
	long := []string{strings.Repeat("&", 100), strings.Repeat("𝔸", 100), strings.Repeat(`\`, 100)}
	for i := range 55 {
		name := fmt.Sprintf("Group %02d", i)
		if i < len(long) {
			name = long[i]
		}
		groups = append(groups, must(owner.AddGroup(ctx, name))(t).Value.ID)
	}
	theirGroup := must(ben.AddGroup(ctx, "Ben's"))(t).Value.ID
	token := func(c *controlapi.Client, name string) id.Token {
		return must(c.AddToken(ctx, controlapi.NewToken{Name: name, Scopes: []string{fleet.ScopeDevicesRead}, LifeSeconds: 3600}))(t).Token.ID
	}
	theirToken := token(ben, "Ben's")
	var tokens []id.Token
	for i := range 50 {
		tokens = append(tokens, token(owner, fmt.Sprint("t", i)))
	}
	guest := must(owner.InviteUser(ctx, controlapi.NewUser{Email: "guest@example.com", Name: "Guest", Role: "technician"}))(t)
	tokens = append(tokens, token(w.client(t).WithToken(must(w.client(t).AcceptInvitation(ctx, guest.Token, password))(t).Token), "guest's"))

	for _, limit := range []int{0, 1, 200} {
		gs, cursors := whole(t, limit, func(q controlapi.PageQuery) (controlapi.Page[controlapi.Group], error) { return owner.Groups(ctx, q) })
		sameIDs(t, gs, groups, func(g controlapi.Group) id.Group { return g.ID })
		for _, c := range cursors {
			p := must(ben.Groups(ctx, controlapi.PageQuery{Cursor: c}))(t)
			if p.Total != 1 || slices.ContainsFunc(p.Items, func(g controlapi.Group) bool { return g.ID != theirGroup }) {
				t.Fatalf("by another account's cursor: %+v", p)
			}
		}
		ts, cursors := whole(t, limit, func(q controlapi.PageQuery) (controlapi.Page[controlapi.APIToken], error) {
			return owner.Tokens(ctx, q)
		})
		sameIDs(t, ts, tokens, func(k controlapi.APIToken) id.Token { return k.ID })
		if ts[0].ID != tokens[50] {
			t.Errorf("the newest is not the first: %+v", ts[0])
		}
		for _, c := range cursors {
			p := must(ben.Tokens(ctx, controlapi.PageQuery{Cursor: c}))(t)
			if p.Total != 1 || slices.ContainsFunc(p.Items, func(k controlapi.APIToken) bool { return k.ID != theirToken }) {
				t.Fatalf("by another account's cursor: %+v", p)
			}
		}
	}
	firstGroups, firstTokens := must(owner.Groups(ctx, controlapi.PageQuery{}))(t), must(owner.Tokens(ctx, controlapi.PageQuery{}))(t)
	if len(firstGroups.Items) != 50 || len(firstTokens.Items) != 50 {
		t.Errorf("without parameters %d groups and %d tokens", len(firstGroups.Items), len(firstTokens.Items))
	}
	_, bad := owner.Groups(ctx, controlapi.PageQuery{Cursor: firstTokens.Next})
	_, worse := owner.Tokens(ctx, controlapi.PageQuery{Cursor: firstGroups.Next})
	_, forged := owner.Tokens(ctx, controlapi.PageQuery{Cursor: "forged"})
	for _, err := range []error{bad, worse, forged} {
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("a cursor of another list: %v", err)
		}
	}
}

func sameIDs[T any, I ~string](t *testing.T, got []T, want []I, name func(T) I) {
	t.Helper()
	var have []I
	for _, x := range got {
		have = append(have, name(x))
	}
	want = slices.Clone(want)
	slices.Sort(have)
	if slices.Sort(want); !slices.Equal(have, want) {
		t.Errorf("%d of %d: %v", len(have), len(want), have)
	}
}
