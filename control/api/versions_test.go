package api_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"trunkline/control/fleet"
)

// What an agent of commit bd5bcb5 asks, and is answered, byte by byte. It is what agents
// one version behind say and understand, so none of it is ever changed or made anew.
// internal/controlapi's versions_test.go has the agent's side of the same.
func TestAgentsOfBefore(t *testing.T) {
	const (
		key   = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
		proof = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=="
		grant = `{"device":"dev_0123456789abcdef","site":"pbx-acme","name":"Acme","account":"Root","pass":"the.pass","lifetime_seconds":86400,` +
			`"relays":["relay-1.example.com:8443"],"licence_seconds":5400}`
	)
	ones, twos, threes := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64), bytes.Repeat([]byte{3}, 16)
	activation := fleet.Activation{
		Serial: "3631A20C0042", Model: "P550", Firmware: "37.20.0.1", Key: ones, Proof: twos,
		HotStandby: fleet.HotStandby{Enabled: true, Type: "primary", Role: "active", Peer: "3631A20C0043", Claim: 3}, Code: "ABCD-EFGH", Remote: remote,
	}
	single := fleet.Activation{
		Serial: "3631A20C0042", Model: "P550", Firmware: "37.20.0.1", Key: ones, Proof: twos, Email: "ann@example.com", Password: "secret of Ann", Remote: remote,
	}
	for _, was := range []struct {
		path, body string
		asked      any
	}{
		{"/api/v1/activations", `{"serial":"3631A20C0042","model":"P550","firmware":"37.20.0.1","public_key":"` + key + `","proof":"` + proof + `",` +
			`"hot_standby":{"type":"primary","role":"active","peer":"3631A20C0043","claim":3},"code":"ABCD-EFGH"}`, activation},
		{"/api/v1/activations", `{"serial":"3631A20C0042","model":"P550","firmware":"37.20.0.1","public_key":"` + key + `","proof":"` + proof + `",` +
			`"email":"ann@example.com","password":"secret of Ann"}`, single},
		{"/api/v1/passes", `{"device":"dev_0123456789abcdef","nonce":"AwMDAwMDAwMDAwMDAwMDAw==","proof":"` + proof + `"}`,
			fleet.Renewal{Device: aDevice, Nonce: threes, Proof: twos, Remote: remote}},
	} {
		next := strings.ReplaceAll(was.body, `{"`, `{"from_the_next_version":[{}],"`)
		for _, body := range []string{was.body, next} {
			w := newWorld(t)
			answer := w.do("POST", was.path, body)
			if answer.Code != 200 {
				t.Errorf("%s is answered %d: %s", body, answer.Code, answer.Body)
				continue
			}
			if asked := w.fleet.last(); !reflect.DeepEqual(asked, []any{was.asked}) {
				t.Errorf("%s is read as %+v; it was %+v", body, asked, was.asked)
			}
			var got, known map[string]any
			if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(grant), &known); err != nil {
				t.Fatal(err)
			}
			for name, v := range known { // what more there is, an agent of before ignores
				if !reflect.DeepEqual(got[name], v) {
					t.Errorf("the answer's %s is %v; it was %v", name, got[name], v)
				}
			}
		}
	}
}
