package console

import (
	"net/http"
	"net/url"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	visitsShown = 10
	eventsShown = 30
)

type deviceDetail struct {
	Device deviceView
	Group  string
	Peer   *deviceView // the pair's other member
	Alarm  string      // what is wrong with the pair, and what to do
	Site   deviceView  // who a visit to the site goes to
	Visits []visitView
	Events []eventView
	// Where older entries of the timeline are, and from these the newest; "":
	// there are none, or they are shown.
	Older, Newest string
	Life          input
}

// eventView is an entry of the timeline.
type eventView struct {
	fleet.StatusChange
	What, Key, Why string
}

// pathDevice treats an id that cannot be one as a device that is not there.
func pathDevice(r *http.Request) (id.Device, error) {
	var d id.Device
	if err := d.UnmarshalText([]byte(r.PathValue("device"))); err != nil {
		return "", fault.New(fault.NotFound, "There is no such PBX.")
	}
	return d, nil
}

func (c *console) devicePage(w *response, r *http.Request, p fleet.Principal) error {
	d, err := c.loadDevice(r, p)
	if err != nil {
		return err
	}
	v := deviceDetail{Device: c.deviceView(p, d), Life: lifeInput(), Alarm: alarms[d.Alarm]}
	if err := c.deviceRecords(r, p, d, &v); err != nil {
		return err
	}
	shown := []id.Device{d.ID}
	if d.Peer != "" {
		o, err := c.o.Fleet.Device(r.Context(), p, d.Peer)
		if err == nil {
			peer := c.deviceView(p, o)
			v.Peer = &peer
			shown = append(shown, o.ID)
		} else if fault.CodeOf(err) != fault.NotFound {
			return err
		}
	}
	nav, list := "devices", ""
	if d.Account != p.Account {
		nav, list = "sub", oneBelow
	}
	return c.show(w, r, p, http.StatusOK, "device", page{
		Title: plain(v.Device.Label()), Nav: nav, Data: v, Live: livePath(shown, list), Notice: notices[r.URL.Query().Get("notice")],
	})
}

// deviceRecords reads what is on record of a device: group, timeline, visits.
func (c *console) deviceRecords(r *http.Request, p fleet.Principal, d fleet.Device, v *deviceDetail) error {
	cursor, err := parseCursor(r, "events")
	if err != nil {
		return err
	}
	events, err := c.o.Fleet.DeviceEvents(r.Context(), p, d.ID, cursor, eventsShown)
	if err != nil {
		return err
	}
	at := "/devices/" + string(d.ID)
	if events.Next != "" {
		v.Older = address(at, url.Values{"events": {events.Next}}) + "#timeline"
	}
	if cursor != "" {
		v.Newest = at + "#timeline"
	}
	for _, e := range events.Items {
		v.Events = append(v.Events, viewOfEvent(e))
	}
	if d.Account != p.Account {
		return nil
	}
	visits, err := c.o.Fleet.Visits(r.Context(), p, fleet.VisitQuery{Device: d.ID, Limit: visitsShown})
	if err != nil {
		return err
	}
	for _, x := range visits.Items {
		v.Visits = append(v.Visits, c.visitView(p, x))
	}
	if d.Group == "" {
		return nil
	}
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	for _, g := range gs {
		if g.ID == d.Group {
			v.Group = g.Name
		}
	}
	return err
}

// alarms are what can be wrong with a pair, in words.
var alarms = map[string]string{
	"two_active":  "Both servers say that they are active. The newer claim serves. See on the PBXs which one is right: telephones may be registered at both.",
	"none_active": "Neither server says that it is active. The last active one serves. See on the PBXs what became of the switch-over.",
	"same_type":   "Both servers say that they are of the same type. One must be primary and the other secondary.",
}

// events are the words and marks of a timeline.
var events = map[string][2]string{
	string(fleet.StatusConnected): {"Connected", "up"}, string(fleet.StatusDisconnected): {"Not connected", "down"},
	string(fleet.StatusNever): {"Never connected", "never"}, string(fleet.StatusNotActivated): {"Added", "never"},
	fleet.EventActivated: {"Activated", "ok"}, fleet.EventKeyReplaced: {"Activated again, with a new key", "ok"},
	fleet.EventRolesSwapped: {"Roles swapped", "off"}, fleet.EventPaired: {"Joined its pair", "ok"}, fleet.EventSplit: {"Left its pair", "off"},
}

func viewOfEvent(e fleet.StatusChange) eventView {
	v := eventView{StatusChange: e, What: e.Kind, Key: "off", Why: fault.Reason(e.Reason)}
	if x, ok := events[e.Kind]; ok {
		v.What, v.Key = x[0], x[1]
	}
	return v
}

func (c *console) loadDevice(r *http.Request, p fleet.Principal) (fleet.Device, error) {
	d, err := pathDevice(r)
	if err != nil {
		return fleet.Device{}, err
	}
	return c.o.Fleet.Device(r.Context(), p, d)
}

// editPage is where the provider's own words on a device are changed.
func (c *console) editPage(w *response, r *http.Request, p fleet.Principal) error {
	d, err := c.loadDevice(r, p)
	if err != nil {
		return err
	}
	f, err := c.editForm(r, p, d)
	if err != nil {
		return err
	}
	return c.showEdit(w, r, p, d, f)
}

func (c *console) editForm(r *http.Request, p fleet.Principal, d fleet.Device) (form, error) {
	gs, err := c.o.Fleet.Groups(r.Context(), p)
	if err != nil {
		return form{}, err
	}
	at := "/devices/" + string(d.ID)
	return form{Action: at + "/edit", Submit: "Save", Cancel: at, Inputs: []input{
		{Name: "match", Kind: "hidden", Value: d.Tag()},
		{Name: "name", Label: "Device Name", Kind: "text", Max: 100, Required: true, Value: d.Name, Autocomplete: "off"},
		{Name: "group", Label: "Group", Kind: "select", Options: groupOptions(gs, d.Group)},
		{Name: "comment", Label: "Comment", Kind: "textarea", Max: 500, Value: d.Comment},
		{Name: "passwordless", Label: "Allow Passwordless Login to PBX", Kind: "checkbox", Checked: d.Passwordless, Hint: "The PBX has a switch of its own; both must be on."},
		regionInput(d.Region, "Relays of this region are used first. Empty: as the account has it."),
		secondInput(d.Second),
	}}, nil
}

func (c *console) showEdit(w *response, r *http.Request, p fleet.Principal, d fleet.Device, f form) error {
	label := c.deviceView(p, d).Label()
	return c.showForm(w, r, p, "devices", formPage{Title: "Options of " + plain(label), Crumb: &link{"/devices/" + string(d.ID), plain(label)}, Form: f})
}

func (c *console) edit(w *response, r *http.Request, p fleet.Principal) error {
	d, err := c.loadDevice(r, p)
	if err != nil {
		return err
	}
	name, comment, password := r.PostFormValue("name"), r.PostFormValue("comment"), r.PostFormValue("passwordless") != ""
	region := r.PostFormValue("region")
	group, err := formGroup(r, "group")
	var second fleet.Override
	if err == nil {
		second, err = formOverride(r)
	}
	if err == nil {
		_, err = c.o.Fleet.EditDevice(r.Context(), p, d.ID, fleet.DeviceEdit{
			Match: r.PostFormValue("match"), Name: &name, Comment: &comment, Group: &group, Passwordless: &password, Region: &region, Second: &second,
		})
	}
	if err != nil {
		f, ferr := c.editForm(r, p, d)
		if ferr != nil {
			return ferr
		}
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showEdit(w, r, p, d, f)
	}
	return w.redirect("/devices/" + string(d.ID) + "?notice=saved")
}

// removePage asks before it is done; a person's own page, so that it works
// without a script.
func (c *console) removePage(w *response, r *http.Request, p fleet.Principal) error {
	d, err := c.loadDevice(r, p)
	if err != nil {
		return err
	}
	v := c.deviceView(p, d)
	return c.show(w, r, p, http.StatusOK, "remove", page{Title: "Remove " + plain(v.Label()), Nav: "devices", Data: v})
}

func (c *console) remove(w *response, r *http.Request, p fleet.Principal) error {
	d, err := c.loadDevice(r, p)
	if err != nil {
		return err
	}
	if err := c.o.Fleet.RemoveDevice(r.Context(), p, d.ID, ""); err != nil {
		return err
	}
	if d.Account != p.Account {
		return w.redirect("/user-devices?notice=removed")
	}
	return w.redirect("/?notice=removed")
}
