package controlapi_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trunkline/internal/controlapi"
	"trunkline/internal/tunnel"
)

// What an agent of commit bd5bcb5 asks control, and what a control of that commit
// answers, byte by byte. It is what one version behind says and understands, so none of
// it is ever changed or made anew: a form that comes to be written beside it gets a line
// of its own. control/api's versions_test.go has control's side of the same.
func TestAgentsAndControlsOfBefore(t *testing.T) {
	const (
		key   = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
		proof = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=="
		grant = `{"device":"dev_0123456789abcdef","site":"pbx-acme","name":"Acme","account":"Root","pass":"the.pass","lifetime_seconds":86400,` +
			`"relays":["relay-1.example.com:8443"],"second":[{"relay":"relay-2","addr":"relay-2.example.com:8443"}],"region":"eu","over_capacity":true,"licence_expired":true,"licence_seconds":5400}`
	)
	want := controlapi.Grant{
		Device: "dev_0123456789abcdef", Site: "pbx-acme", Name: "Acme", Account: "Root", Pass: "the.pass", LifetimeSeconds: 86400,
		Relays: []string{"relay-1.example.com:8443"}, Second: []tunnel.Place{{Relay: "relay-2", Addr: "relay-2.example.com:8443"}},
		Region: "eu", OverCapacity: true, LicenceExpired: true, LicenceSeconds: 5400,
	}
	ones, twos, threes := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64), bytes.Repeat([]byte{3}, 16)
	next := strings.ReplaceAll(grant, `{"`, `{"from_the_next_version":[{}],"`)
	for _, answer := range []string{grant, next} {
		var path, body string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			path, body = r.Method+" "+r.URL.Path, string(b)
			reply(http.StatusOK, "application/json", answer)(w, r)
		})
		asked := func(got controlapi.Grant, err error, where, what string) {
			t.Helper()
			if err != nil || !cmp.Equal(got, want) {
				t.Errorf("%s is read as another, %v: %s", answer, err, cmp.Diff(want, got))
			}
			if path != where || body != what {
				t.Errorf("asked is %s with %s; a control that is a version behind knows %s with %s", path, body, where, what)
			}
		}
		got, err := c.Activate(t.Context(), controlapi.ActivationRequest{
			Serial: "3631A20C0042", Model: "P550", Firmware: "37.20.0.1", PublicKey: ones, Proof: twos,
			HotStandby: &controlapi.HotStandby{Type: "primary", Role: "active", Peer: "3631A20C0043", Claim: 3}, Code: "ABCD-EFGH",
		})
		asked(got, err, "POST /api/v1/activations", `{"serial":"3631A20C0042","model":"P550","firmware":"37.20.0.1","public_key":"`+key+`","proof":"`+proof+`",`+
			`"hot_standby":{"type":"primary","role":"active","peer":"3631A20C0043","claim":3},"code":"ABCD-EFGH"}`)
		got, err = c.Activate(t.Context(), controlapi.ActivationRequest{
			Serial: "3631A20C0042", Model: "P550", Firmware: "37.20.0.1", PublicKey: ones, Proof: twos, Email: "ann@example.com", Password: "secret of Ann",
		})
		asked(got, err, "POST /api/v1/activations", `{"serial":"3631A20C0042","model":"P550","firmware":"37.20.0.1","public_key":"`+key+`","proof":"`+proof+`",`+
			`"email":"ann@example.com","password":"secret of Ann"}`)
		got, err = c.RenewPass(t.Context(), controlapi.RenewalRequest{Device: "dev_0123456789abcdef", Nonce: threes, Proof: twos})
		asked(got, err, "POST /api/v1/passes", `{"device":"dev_0123456789abcdef","nonce":"AwMDAwMDAwMDAwMDAwMDAw==","proof":"`+proof+`"}`)
	}
}
