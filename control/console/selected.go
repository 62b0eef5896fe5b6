package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// selected does with the ticked devices what the pressed button says.
func (c *console) selected(w *response, r *http.Request, p fleet.Principal) error {
	ids, err := chosenDevices(r)
	if err != nil {
		return err
	}
	switch do := r.PostFormValue("do"); do {
	case "xlsx", "csv":
		return c.sendDevices(w, r, p, do, fleet.DeviceQuery{}, ids)
	case "remove":
		return c.askRemoveMany(w, r, p, ids)
	}
	return fault.New(fault.Invalid, "The form is damaged. Reload the page.").In("do")
}

func (c *console) askRemoveMany(w *response, r *http.Request, p fleet.Principal, ids []id.Device) error {
	v := confirmation{
		Question: "Remove " + counted(len(ids), "device", "devices") + "?",
		Lines: []string{
			"Their connections and all visits to them end at once.",
			"Their places in the subscription become free.",
			"Nothing changes on the PBXs. To be used here again they have to be activated again.",
		},
		Form: form{Action: "/devices/remove", Submit: "Remove " + counted(len(ids), "device", "devices"), Cancel: localPath(r.PostFormValue("back"))},
	}
	err := c.o.Fleet.EachDevice(r.Context(), p, fleet.DeviceQuery{}, ids, func(d fleet.Device) error {
		x := c.deviceView(p, d)
		v.Facts = append(v.Facts, fact{x.Label(), string(d.Serial) + " " + x.Status})
		v.Form.Inputs = append(v.Form.Inputs, input{Name: "id", Kind: "hidden", Value: string(d.ID)})
		return nil
	})
	if err != nil {
		return err
	}
	if len(v.Facts) == 0 {
		return fault.New(fault.NotFound, "None of them is in your account any more.")
	}
	v.Form.Inputs = append(v.Form.Inputs, input{Name: "back", Kind: "hidden", Value: v.Form.Cancel})
	return c.confirm(w, r, p, "devices", v)
}

type removedView struct {
	Gone int
	Kept []fact // and why
	Back string
}

func (c *console) removeMany(w *response, r *http.Request, p fleet.Principal) error {
	ids, err := chosenDevices(r)
	if err != nil {
		return err
	}
	done, err := c.o.Fleet.RemoveDevices(r.Context(), p, ids)
	if err != nil {
		return err
	}
	v := removedView{Back: localPath(r.PostFormValue("back"))}
	for _, x := range done {
		if x.Err == nil {
			v.Gone++
			continue
		}
		v.Kept = append(v.Kept, fact{string(x.Device), messageOf(x.Err)})
	}
	if len(v.Kept) == 0 {
		return w.redirect(v.Back + "?notice=gone")
	}
	return c.show(w, r, p, http.StatusOK, "removed", page{Title: "Removed", Nav: "devices", Data: v})
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}
