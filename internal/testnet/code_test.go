package testnet_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/testnet"
)

// A device is added, its code is typed on the PBX, and the PBX is that device:
// connected, visited, and with a timeline.
func TestByCode(t *testing.T) {
	w := testnet.Start(t, nil)
	added, err := w.API.AddDevice(t.Context(), controlapi.NewDevice{Name: "Acme, head office", Comment: "3rd floor"})
	if err != nil || added.Device.Status != controlapi.StatusNotActivated {
		t.Fatalf("%+v, %v", added, err)
	}
	portal := w.Portal(nil).URL()
	p, err := w.ActivateByCode(strings.ToLower(added.Code), "3631A20C0042", portal)
	if err != nil {
		t.Fatal(err)
	}
	if p.Device != added.Device.ID {
		t.Errorf("it is %s, not %s", p.Device, added.Device.ID)
	}
	if _, err := w.ActivateByCode(added.Code, "3631A20C0043", portal); fault.CodeOf(err) != fault.Rejected {
		t.Errorf("another PBX with the same code: %v", err)
	}
	p.Run()
	d := p.AwaitStatus(controlapi.StatusConnected)
	if d.Name != "Acme, head office" || d.Comment != "3rd floor" || d.Serial != p.Serial || d.Code == nil || d.Code.Used.IsZero() {
		t.Errorf("%+v", d)
	}
	v := p.Visit()
	resp, err := v.Get(v.Origin + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode >= http.StatusInternalServerError {
		t.Errorf("the portal: %s, %v", resp.Status, err)
	}
	w.Eventually("the timeline has both", func() error {
		page, err := w.API.DeviceEvents(t.Context(), p.Device, controlapi.PageQuery{})
		if err != nil {
			return err
		}
		var kinds []string
		for _, c := range page.Items {
			kinds = append(kinds, c.Kind)
		}
		if want := []string{"connected", "activated"}; !slices.Equal(kinds, want) {
			return fmt.Errorf("%q", kinds)
		}
		return nil
	})
	o, err := w.API.Overview(t.Context())
	if err != nil || o.Visits != 1 || o.Subscription.Used != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}
