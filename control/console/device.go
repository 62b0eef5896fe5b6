package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	// visitsLooked bounds how far back a device's own visits are looked for.
	visitsLooked = 200
	visitsShown  = 10
)

type deviceDetail struct {
	Device deviceView
	Visits []visitView
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
	got, err := c.o.Fleet.Visits(r.Context(), p, fleet.VisitQuery{Limit: visitsLooked})
	if err != nil {
		return err
	}
	v := deviceDetail{Device: c.deviceView(p, d)}
	for _, x := range got.Items {
		if len(v.Visits) < visitsShown && (x.Device == d.ID || x.Device == "" && x.Site == d.Site) {
			v.Visits = append(v.Visits, c.visitView(p, x))
		}
	}
	return c.show(w, r, p, http.StatusOK, "device", page{
		Title: plain(v.Device.Label()), Nav: "devices", Data: v, Live: livePath([]id.Device{d.ID}, ""),
	})
}

func (c *console) loadDevice(r *http.Request, p fleet.Principal) (fleet.Device, error) {
	d, err := pathDevice(r)
	if err != nil {
		return fleet.Device{}, err
	}
	return c.o.Fleet.Device(r.Context(), p, d)
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
	d, err := pathDevice(r)
	if err != nil {
		return err
	}
	if err := c.o.Fleet.RemoveDevice(r.Context(), p, d); err != nil {
		return err
	}
	return w.redirect("/?notice=removed")
}
