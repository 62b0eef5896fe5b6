package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// form is what a page's form shows again when it was refused: what was typed,
// but for secrets, and what was wrong with it beside the field at fault.
type form struct {
	Action string // where it is posted
	Submit string // the button's text
	Cancel string // where the way back leads; "" if there is none
	Inputs []input
	Error  string // above the form, if it belongs to no field
	Code   fault.Code
	Danger bool
}

// input is one field of a form.
type input struct {
	Name, Label  string
	Kind         string // text, email, password, number, checkbox, select, textarea, file, hidden, date
	Value        string
	Hint         string
	Error        string
	Autocomplete string
	Max          int // characters
	Low, High    int // of a number
	Required     bool
	Focus        bool
	Checked      bool
	Options      []option
}

type option struct {
	Value, Text string
	Selected    bool
}

// refused puts err beside the field it names, or above the form. It reports
// false if err is nothing that the person at the form can mend.
func (f *form) refused(err error) bool {
	fe, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return false
	}
	switch fe.Code {
	case fault.SignInNeeded, fault.Internal, fault.CrossSite:
		return false
	case fault.NotFound: // what the form is of; or what was chosen in it, which has gone meanwhile
		if fe.Field == "" {
			return false
		}
	}
	f.Code = fe.Code
	for i := range f.Inputs {
		f.Inputs[i].Focus = false
	}
	for i := range f.Inputs {
		if x := &f.Inputs[i]; x.Name == fe.Field && x.Kind != "hidden" {
			x.Error, x.Focus = fe.Message, true
			return true
		}
	}
	f.Error = fe.Message
	return true
}

// filled takes over what was typed. Hidden inputs are nobody's typing: what is
// saved next is saved over what is there now.
func (f *form) filled(r *http.Request) {
	for i := range f.Inputs {
		x := &f.Inputs[i]
		v := strings.ToValidUTF8(r.PostFormValue(x.Name), "\uFFFD")
		switch x.Kind {
		case "password", "file", "hidden":
		case "checkbox":
			x.Checked = v != ""
		case "select":
			for j := range x.Options {
				x.Options[j].Selected = x.Options[j].Value == v
			}
		default:
			x.Value = plainTo(2000, v)
		}
	}
}

// statusOf is what a page with a refused form is sent with.
func statusOf(f form) int {
	if f.Code == "" {
		return http.StatusOK
	}
	return fault.Status(f.Code)
}

// groupOptions are the account's groups to choose from; none is "".
func groupOptions(gs []fleet.Group, chosen id.Group) []option {
	out := []option{{Value: "", Text: "No group", Selected: chosen == ""}}
	for _, g := range gs {
		out = append(out, option{Value: string(g.ID), Text: plain(g.Name), Selected: g.ID == chosen})
	}
	return out
}

// formGroup reads a group's choice; "" is none.
func formGroup(r *http.Request, field string) (id.Group, error) {
	raw := r.PostFormValue(field)
	if raw == "" {
		return "", nil
	}
	var g id.Group
	if g.UnmarshalText([]byte(raw)) != nil {
		return "", fault.New(fault.Invalid, "Choose one of the groups.").In(field)
	}
	return g, nil
}

// formNumber reads a whole number from low to high.
func formNumber(r *http.Request, field string, low, high int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(r.PostFormValue(field)))
	if err != nil || n < low || n > high {
		return 0, fault.New(fault.Invalid, "Enter a whole number from %s to %s.", number(low), number(high)).In(field)
	}
	return n, nil
}

const day = 24 * time.Hour

// confirmation asks before something is done that cannot be undone; a page of
// its own, so that it works without a script.
type confirmation struct {
	Question string
	Facts    []fact
	Lines    []string // what will happen
	Form     form
	Hidden   []input
}

type fact struct{ Name, Value string }

func (c *console) confirm(w *response, r *http.Request, p fleet.Principal, nav string, v confirmation) error {
	v.Form.Danger = true
	return c.show(w, r, p, statusOf(v.Form), "confirm", page{Title: v.Question, Nav: nav, Data: v})
}
