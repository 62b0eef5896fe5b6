package console

import (
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

// deviceView is a device as pages show it.
type deviceView struct {
	fleet.Device
	Address      string // host[:port] of its site
	Domain       string // the part of it that all sites share
	Status       string // for a person
	StatusKey    string // for the style sheet
	Reason       string
	Was          string // the status it had last, if it is not known
	Since        time.Time
	CanVisit     bool   // by account login
	WhyNot       string // if it cannot be visited
	CanSwitch    bool   // passwordless
	WhyPassword  string // if it cannot be visited without a password
	CanManage    bool
	CanRemove    bool
	Barred       bool // by the person's role, not by the device's status
	Connected    bool
	NeverSeen    bool
	NotActivated bool
	CodeState    string // what it has for an authentication code; "" if none is needed
	HasCode      bool   // it can be revoked
	ReasonCode   fault.Code
	Pick         bool // has a box to be selected by
}

// Label is what the device is called: a name is not compulsory.
func (v deviceView) Label() string {
	if strings.TrimSpace(v.Name) == "" {
		return string(v.Serial)
	}
	return v.Name
}

func (c *console) deviceView(p fleet.Principal, d fleet.Device) deviceView {
	v := deviceView{
		Device: d, Address: string(d.Site) + "." + c.o.Zone + c.o.Port, Domain: "." + c.o.Zone + c.o.Port, Since: d.Presence.Since,
		Reason: fault.Reason(d.Presence.Reason), ReasonCode: d.Presence.Reason,
	}
	own := d.Account == p.Account
	may := p.Access.On(d.Group)
	if !own {
		may = p.Access.Default & (fleet.See | fleet.ManageDevices)
	}
	v.CanRemove = may.Has(fleet.ManageDevices)
	v.CanManage = own && v.CanRemove
	switch d.Presence.Status {
	case fleet.StatusConnected:
		v.Status, v.StatusKey, v.Connected, v.CanVisit = "Connected", "up", true, true
		if d.Presence.Reason != "" {
			v.Status, v.StatusKey = "Portal does not answer", "warn"
		}
	case fleet.StatusNever:
		v.Status, v.StatusKey, v.NeverSeen = "Never connected", "never", true
		v.WhyNot = "It has not connected yet."
		if v.Since.IsZero() {
			v.Since = d.Activated
		}
	case fleet.StatusNotActivated:
		v.Status, v.StatusKey, v.NotActivated, v.NeverSeen = "Not activated", "never", true, true
		v.WhyNot = "Its PBX has not been activated yet."
		v.Since = d.Created
	default:
		v.Status, v.StatusKey = "Not connected", "down"
		v.WhyNot = "It is not connected."
	}
	if !d.Presence.Unknown.IsZero() {
		v.Was, v.Status, v.StatusKey, v.Since, v.NeverSeen = v.Status, "Not known", "off", d.Presence.Unknown, false
	}
	if d.OverCapacity && v.CanVisit {
		v.CanVisit, v.WhyNot = false, "Over capacity: no connection of the subscription is left for it."
	}
	if !may.Has(fleet.VisitAccount) && !may.Has(fleet.VisitPasswordless) {
		v.CanVisit, v.Barred, v.WhyNot = false, true, "Your role may not visit a PBX."
		if !own {
			v.WhyNot = "It belongs to " + plain(d.Owner) + ", whose people visit it."
		}
	}
	if v.HasCode = d.Code.Hash != ""; v.HasCode || v.NotActivated {
		v.CodeState = codeState(d.Code, c.now())
	}
	v.switchable(may)
	return v
}

// switchable says whether a visit without a password is possible, and what
// is missing if not.
func (v *deviceView) switchable(may fleet.Rights) {
	switch {
	case !v.CanVisit:
	case !may.Has(fleet.VisitPasswordless):
		v.WhyPassword = "Your role may not visit without a password."
	case !v.Passwordless:
		v.WhyPassword = "Passwordless login is not allowed for this device here; see its options."
	case !v.Presence.Logins.Passwordless:
		v.WhyPassword = "Passwordless Login is off on the PBX’s Remote Management page."
	default:
		v.CanSwitch = true
	}
	if !may.Has(fleet.VisitAccount) && v.CanVisit && !v.CanSwitch {
		v.CanVisit, v.WhyNot = false, v.WhyPassword
	}
}

func codeState(s fleet.CodeState, now time.Time) string {
	switch {
	case s.Hash == "":
		return "no code"
	case !s.Used.IsZero():
		return "a code that was used " + utc(s.Used)
	case !now.Before(s.Expires):
		return "a code that expired " + utc(s.Expires)
	}
	return "a code until " + utc(s.Expires)
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// connectView is what to type to connect the first PBX.
type connectView struct {
	Server  string
	Email   string
	Command string
}

func (c *console) connectView(p fleet.Principal) connectView {
	server := "console." + c.o.Zone + c.o.Port
	email := p.Email
	if strings.ContainsFunc(email, notForShell) {
		email = "EMAIL"
	}
	return connectView{
		Server: server, Email: p.Email,
		Command: "trunkline-agent connect --server https://" + server + " --email " + email + " --sn SERIAL --model MODEL --firmware VERSION",
	}
}

// notForShell is what an e-mail address may hold and a command that people
// copy may not.
func notForShell(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("@._+-", r)
}
