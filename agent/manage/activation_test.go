package manage_test

import (
	"strings"
	"testing"

	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// A provider's password is bounded as control bounds it: by characters.
func TestProvidersPasswordIsBoundedAsThere(t *testing.T) {
	for n, want := range map[int]fault.Code{controlapi.MaxPassword: "", controlapi.MaxPassword + 1: fault.Invalid} {
		q := manage.Activation{
			ServerType: manage.CustomServer, Server: "https://console.relay.example", Method: manage.ByEmail, Email: "a@b.example",
			Password: strings.Repeat("é", n), Serial: "SN-0001", Model: "P550", Firmware: "1",
		}
		err := q.Check()
		if code := fault.CodeOf(err); err == nil && want != "" || err != nil && code != want || err != nil && !strings.Contains(err.Error(), "256") {
			t.Errorf("%d characters: %v", n, err)
		}
	}
}
