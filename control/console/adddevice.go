package console

import (
	"net/http"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// addPage is where a device is added before its PBX is there.
func (c *console) addPage(w *response, r *http.Request, p fleet.Principal) error {
	f, err := c.addForm(r, p)
	if err != nil {
		return err
	}
	return c.showAdd(w, r, p, f)
}

func (c *console) showAdd(w *response, r *http.Request, p fleet.Principal, f form) error {
	return c.showForm(w, r, p, "devices", formPage{
		Title: "Add a device", Crumb: &link{"/", "My Devices"},
		Lead: "You get an authentication code to type on the PBX. It is used once; the PBX then appears here under this name.",
		Form: f,
	})
}

func (c *console) addForm(r *http.Request, p fleet.Principal) (form, error) {
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return form{}, err
	}
	return form{
		Action: "/devices/add", Submit: "Add and show the code", Cancel: "/",
		Inputs: []input{
			{Name: "name", Label: "Device Name", Kind: "text", Max: 100, Required: true, Focus: true, Autocomplete: "off"},
			{Name: "group", Label: "Group", Kind: "select", Options: groupOptions(gs, "")},
			{Name: "comment", Label: "Comment", Kind: "textarea", Max: 500},
			{Name: "passwordless", Label: "Allow Passwordless Login to PBX", Kind: "checkbox", Hint: "Your colleagues and you can then be signed in as its super administrator. The PBX has a switch of its own, too."},
			regionInput("", "Relays of this region are used first. Empty: as the account has it."),
			secondInput(fleet.AsAccount),
			lifeInput(),
		},
	}, nil
}

func lifeInput() input {
	return input{Name: "code_life", Label: "The code is good for", Kind: "select", Options: []option{
		{"1h", "1 hour", false}, {"24h", "24 hours", true}, {"72h", "3 days", false}, {"168h", "7 days", false}, {"720h", "30 days", false},
	}}
}

func formLife(r *http.Request) (time.Duration, error) {
	raw := r.PostFormValue("code_life")
	for _, o := range lifeInput().Options {
		if o.Value == raw {
			return time.ParseDuration(raw)
		}
	}
	if raw == "" {
		return 0, nil
	}
	return 0, fault.New(fault.Invalid, "Choose one of the times.").In("code_life")
}

func (c *console) add(w *response, r *http.Request, p fleet.Principal) error {
	n := fleet.NewDevice{Name: r.PostFormValue("name"), Comment: r.PostFormValue("comment"), Passwordless: r.PostFormValue("passwordless") != "", Region: r.PostFormValue("region")}
	var err error
	if n.Group, err = formGroup(r, "group"); err == nil {
		n.CodeLife, err = formLife(r)
	}
	if err == nil {
		n.Second, err = formOverride(r)
	}
	var d fleet.Device
	var code fleet.Code
	if err == nil {
		d, code, err = c.o.Fleet.AddDevice(r.Context(), p, n)
	}
	if err != nil {
		f, ferr := c.addForm(r, p)
		if ferr != nil {
			return ferr
		}
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showAdd(w, r, p, f)
	}
	return c.showCode(w, r, p, d, code)
}

// codeView shows a code, once: it is in no address, and a reload asks again.
type codeView struct {
	Device  deviceView
	Code    string
	Expires time.Time
	Server  string
}

func (c *console) showCode(w *response, r *http.Request, p fleet.Principal, d fleet.Device, code fleet.Code) error {
	return c.show(w, r, p, http.StatusOK, "code", page{Title: "Authentication code", Nav: "devices", Data: codeView{
		Device: c.deviceView(p, d), Code: code.Secret, Expires: code.Expires, Server: "console." + c.o.Zone + c.o.Port,
	}})
}

// reissue makes another code for a device.
func (c *console) reissue(w *response, r *http.Request, p fleet.Principal) error {
	d, err := pathDevice(r)
	if err != nil {
		return err
	}
	life, err := formLife(r)
	if err != nil {
		return err
	}
	dev, code, err := c.o.Fleet.ReissueCode(r.Context(), p, d, life)
	if err != nil {
		return err
	}
	return c.showCode(w, r, p, dev, code)
}

func (c *console) revokeCode(w *response, r *http.Request, p fleet.Principal) error {
	d, err := pathDevice(r)
	if err != nil {
		return err
	}
	if _, err := c.o.Fleet.RevokeCode(r.Context(), p, d); err != nil {
		return err
	}
	return w.redirect("/devices/" + string(d) + "?notice=revoked")
}
