package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// tunnelsPage is where the account says where its devices' tunnels should be.
func (c *console) tunnelsPage(w *response, r *http.Request, p fleet.Principal) error {
	wish, err := c.o.Fleet.Wish(r.Context(), p)
	if err != nil {
		return err
	}
	return c.showTunnels(w, r, p, tunnelsForm(wish))
}

func tunnelsForm(wish fleet.Wish) form {
	return form{Action: "/tunnels", Submit: "Save", Cancel: "/me", Inputs: []input{
		{Name: "match", Kind: "hidden", Value: wish.Tag()},
		regionInput(wish.Region, "Relays of this region are used first, as your operator names it; any others if none of them answers. Empty: any."),
		{Name: "second", Label: "Keep a second tunnel", Kind: "checkbox", Checked: wish.Second,
			Hint: "Each PBX keeps an idle tunnel at another relay, which serves at once when the first one is lost. It takes no connection."},
	}}
}

func regionInput(region, hint string) input {
	return input{Name: "region", Label: "Region", Kind: "text", Max: 63, Value: region, Autocomplete: "off", Hint: hint}
}

func (c *console) showTunnels(w *response, r *http.Request, p fleet.Principal, f form) error {
	return c.showForm(w, r, p, "me", formPage{Title: "Tunnels of the account", Crumb: &link{"/me", "My account"}, Form: f,
		Lead: "This holds for every PBX of the account that has no setting of its own. PBXs that are connected hear of a change within seconds, the others when they connect."})
}

func (c *console) editTunnels(w *response, r *http.Request, p fleet.Principal) error {
	region, second := r.PostFormValue("region"), r.PostFormValue("second") != ""
	_, err := c.o.Fleet.EditWish(r.Context(), p, fleet.WishEdit{Match: r.PostFormValue("match"), Region: &region, Second: &second})
	if err != nil {
		wish, werr := c.o.Fleet.Wish(r.Context(), p)
		if werr != nil {
			return werr
		}
		f := tunnelsForm(wish)
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showTunnels(w, r, p, f)
	}
	return w.redirect("/me?notice=saved")
}

// secondInput is a device's say against its account's.
func secondInput(o fleet.Override) input {
	in := input{Name: "second_tunnel", Label: "Second tunnel", Kind: "select"}
	for _, x := range []option{{Value: "", Text: "As the account has it"}, {Value: string(fleet.On), Text: "On"}, {Value: string(fleet.Off), Text: "Off"}} {
		x.Selected = x.Value == string(o)
		in.Options = append(in.Options, x)
	}
	return in
}

func formOverride(r *http.Request) (fleet.Override, error) {
	switch o := fleet.Override(r.PostFormValue("second_tunnel")); o {
	case fleet.AsAccount, fleet.On, fleet.Off:
		return o, nil
	}
	return "", fault.New(fault.Invalid, "Choose one of the three.").In("second_tunnel")
}
