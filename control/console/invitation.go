package console

import (
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

type invitationView struct {
	User    fleet.User
	Account string
	Form    form
}

const maxInvitation = 128

// invitationPage is public: who has the link is the one who was invited.
func (c *console) invitationPage(w *response, r *http.Request) error {
	return c.showInvitation(w, r, nil)
}

func invitationToken(r *http.Request) (string, error) {
	t := r.PathValue("token")
	if len(t) > maxInvitation {
		return "", fault.New(fault.InvitationInvalid, "This invitation is damaged. Copy the whole link.")
	}
	return t, nil
}

func (c *console) showInvitation(w *response, r *http.Request, refused error) error {
	t, err := invitationToken(r)
	if err != nil {
		return err
	}
	u, a, err := c.o.Fleet.InvitationOf(r.Context(), t, remote(r))
	if err != nil {
		return err
	}
	f := form{Action: "/invitation/" + t, Submit: "Set the password and sign in", Inputs: []input{
		{Name: "password", Label: "Choose a password", Kind: "password", Max: fleet.MaxPassword, Required: true, Focus: true, Autocomplete: "new-password", Hint: "At least 8 characters. Nobody else knows it."},
		{Name: "again", Label: "The same again", Kind: "password", Max: fleet.MaxPassword, Required: true, Autocomplete: "new-password"},
	}}
	if refused != nil && !f.refused(refused) {
		return refused
	}
	w.code = f.Code
	b, err := c.render("invitation", page{Title: "Welcome", Data: invitationView{u, a.Name, f}})
	if err != nil {
		return err
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // the address is the secret
	return w.send(statusOf(f), b)
}

func (c *console) acceptInvitation(w *response, r *http.Request) error {
	t, err := invitationToken(r)
	if err != nil {
		return err
	}
	password := r.PostFormValue("password")
	err = sameTwice(password, r.PostFormValue("again"))
	var s fleet.Session
	if err == nil {
		s, err = c.o.Fleet.AcceptInvitation(r.Context(), t, password, remote(r))
	}
	if err != nil {
		if code := fault.CodeOf(err); code == fault.InvitationInvalid {
			return err
		}
		return c.showInvitation(w, r, err)
	}
	c.endOldSession(r)
	w.user = s.User.ID
	setSession(w, s.Token)
	return w.redirect("/overview")
}
