package testnet_test

import (
	"testing"

	"trunkline/internal/id"
	"trunkline/internal/testnet"
)

// A visit comes to one relay, the PBX is at another: the request goes through
// both.
func TestARequestGoesThroughTwoRelays(t *testing.T) {
	more := &testnet.More{Names: []id.Relay{"relay-2"}}
	w := testnet.Start(t, more.WithRelays)
	portal := w.Portal(nil)
	pbx := w.Connect("3631A20C0042", portal.URL())
	second := w.Relay(more, "relay-2", nil)
	v := pbx.Visit()
	w.Through(v, second.Addr())
	page, err := v.Fetch(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if len(page) == 0 {
		t.Error("the page is empty")
	}
}
