package fleet_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// names lists relays as "name state", in the order of q.
func (w *world) names(q fleet.RelayQuery) []string {
	w.Helper()
	var out []string
	for {
		q.Limit = 2
		p := ok(w.Relays(w.Context(), w.owner(), q))(w.T)
		for _, r := range p.Items {
			out = append(out, string(r.Name)+" "+string(r.State))
		}
		if q.Cursor = p.Next; q.Cursor == "" {
			return out
		}
	}
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A list of relays says which live, from their leases alone.
func TestRelays(t *testing.T) {
	w := newWorld(t)
	lease := func(name id.Relay, region string, tunnels int) bus.Lease {
		return bus.Lease{Relay: name, Region: region, Started: start.Add(-time.Hour), Load: bus.Load{Tunnels: tunnels, TunnelsMax: 100, CPU: .5}}
	}
	a, b, c := lease("a", "eu", 9), lease("b", "us", 10), lease("c", "eu", 1)
	c.Labels = map[string]string{"rack": "B7"}
	for _, l := range []bus.Lease{a, b, c} {
		w.ApplyLease(l)
	}
	same(t, "by name", w.names(fleet.RelayQuery{}), "a ready", "b ready", "c ready")
	same(t, "by name, downwards", w.names(fleet.RelayQuery{Desc: true}), "c ready", "b ready", "a ready")
	same(t, "by tunnels", w.names(fleet.RelayQuery{Sort: "tunnels"}), "c ready", "a ready", "b ready")
	same(t, "by region, downwards", w.names(fleet.RelayQuery{Sort: "region", Desc: true}), "b ready", "c ready", "a ready")
	same(t, "of a label", w.names(fleet.RelayQuery{Search: "RACK=b"}), "c ready")
	same(t, "of a region", w.names(fleet.RelayQuery{Search: "eu", Sort: "tunnels"}), "c ready", "a ready")

	since := func(name id.Relay) string {
		p := ok(w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Search: string(name), Limit: 1}))(t)
		return fmt.Sprint(p.Items[0].State, " ", p.Items[0].Since.Sub(start).Seconds(), " ", p.Items[0].Seen.Sub(start).Seconds())
	}
	want(t, "a relay that ran before control did", since("a"), "ready -3600 0")
	w.wait(2 * time.Second)
	a.Draining = true
	w.ApplyLease(a)
	w.wait(2 * time.Second)
	w.ApplyLease(a)
	w.ApplyLeaseEnd("c")
	want(t, "a relay that drains", since("a"), "draining 2 4")
	w.wait(5 * time.Second)
	want(t, "a relay that was not heard for 9 seconds", since("b"), "silent 0 0")
	want(t, "a relay that was ended", since("c"), "stopped 4 0")
	same(t, "silent ones", w.names(fleet.RelayQuery{State: fleet.RelaySilent}), "b silent")
	w.ApplyLease(b)
	want(t, "a relay that is back", since("b"), "ready 9 9")
	w.wait(25 * time.Hour)
	w.ApplyLease(b)
	same(t, "the day after", w.names(fleet.RelayQuery{}), "b ready")

	_, err := w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Limit: 2, Cursor: "AAAA"})
	wantCode(t, err, fault.Invalid)
	_, err = w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Limit: 2, Sort: "beauty"})
	wantCode(t, err, fault.Invalid)
}

// What a relay says of itself goes on a page: what is out of form does not.
func TestRelayThatLies(t *testing.T) {
	w := newWorld(t)
	labels := map[string]string{}
	for n := range bus.MaxLabels + 1 {
		labels[fmt.Sprint("n", n)] = "v"
	}
	w.ApplyLease(bus.Lease{
		Relay: "a", Region: strings.Repeat("x", 100), Version: "1\n2", Labels: labels, Addrs: slices.Repeat([]string{"x:1"}, 1000),
		Load: bus.Load{Tunnels: -1, TunnelsMax: -1, CPU: math.NaN()},
	})
	r := ok(w.Relays(t.Context(), w.owner(), fleet.RelayQuery{Limit: 1}))(t).Items[0]
	if r.Region != "" || r.Version != "" || r.Labels != nil || len(r.Addrs) > 16 || r.Load != (bus.Load{}) {
		t.Errorf("%+v", r)
	}
}

// Relays are the operator's: nobody else's, and no technician's.
func TestRelaysAreTheOperators(t *testing.T) {
	w := newWorld(t)
	w.ApplyLease(bus.Lease{Relay: "a"})
	for role, may := range map[fleet.Role]bool{fleet.RoleOwner: true, fleet.RoleAdmin: true, fleet.RoleTechnician: false, fleet.RoleAuditor: false} {
		for _, elsewhere := range []bool{false, true} {
			email := fmt.Sprintf("%s-%v@example.com", role, elsewhere)
			w.addUser(email, role, elsewhere)
			p, err := w.Relays(t.Context(), w.signIn(email), fleet.RelayQuery{Limit: 1})
			if may && !elsewhere {
				if err != nil || len(p.Items) != 1 {
					t.Errorf("%s: %v, %v", email, p, err)
				}
				continue
			}
			wantCode(t, err, fault.Forbidden)
			if len(p.Items) > 0 {
				t.Errorf("%s sees %v", email, p)
			}
		}
	}
}
