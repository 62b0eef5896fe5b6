package console

import (
	"net/http"
	"net/url"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// visitFilter reads whose visits, or to which PBX, the address of /visits asks
// for, and gives what keeps them in the next page's.
func visitFilter(r *http.Request) (fleet.VisitQuery, url.Values, error) {
	var q fleet.VisitQuery
	v, keep := r.URL.Query(), url.Values{}
	if raw := v.Get("device"); raw != "" {
		if q.Device.UnmarshalText([]byte(raw)) != nil {
			return q, nil, fault.New(fault.Invalid, "There is no such PBX to filter by.").In("device")
		}
		keep.Set("device", raw)
	}
	if raw := v.Get("user"); raw != "" {
		if q.User.UnmarshalText([]byte(raw)) != nil {
			return q, nil, fault.New(fault.Invalid, "There is no such person to filter by.").In("user")
		}
		keep.Set("user", raw)
	}
	return q, keep, nil
}

// visitsOf words what q selects, by the names that the visits have on record:
// a PBX or a person may be gone.
func visitsOf(q fleet.VisitQuery, found []visitView) string {
	out := ""
	if q.User != "" {
		out = "of " + string(q.User)
		if len(found) > 0 {
			out = "of " + found[0].Who
		}
	}
	if q.Device != "" {
		if out != "" {
			out += " "
		}
		if len(found) > 0 {
			return out + "to " + found[0].DeviceName
		}
		return out + "to " + string(q.Device)
	}
	return out
}
