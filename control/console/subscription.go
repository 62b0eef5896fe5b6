package console

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
)

type subscriptionView struct {
	fleet.Subscription
	StatusKey string
	Free      int
	CanUpload bool
	Upload    form
}

const maxLicence = 64 << 10

func (c *console) subscriptionPage(w *response, r *http.Request, p fleet.Principal) error {
	return c.showSubscription(w, r, p, licenceForm())
}

func licenceForm() form {
	return form{Action: "/subscription", Submit: "Install licence", Inputs: []input{
		{Name: "licence", Label: "Licence", Kind: "textarea", Max: maxLicence, Required: true, Hint: "Paste the whole file: a line that begins with { and the line after it."},
	}}
}

func (c *console) showSubscription(w *response, r *http.Request, p fleet.Principal, f form) error {
	s, err := c.o.Fleet.Subscription(r.Context(), p)
	if err != nil {
		return err
	}
	v := subscriptionView{
		Subscription: s, StatusKey: planKeys[s.Status], Free: max(0, s.Connections-s.Used-s.Allotted), Upload: f,
		CanUpload: s.Root && manages(p.Role),
	}
	return c.show(w, r, p, statusOf(f), "subscription", page{
		Title: "My Subscription", Nav: "subscription", Data: v, Poll: slowPoll, Notice: notices[r.URL.Query().Get("notice")],
	})
}

// installLicence takes a licence as it was pasted, or as a file.
func (c *console) installLicence(w *response, r *http.Request, p fleet.Principal) error {
	file, err := licenceOf(r)
	if err == nil {
		_, err = c.o.Fleet.InstallLicense(r.Context(), p, file)
	}
	if err != nil {
		f := licenceForm()
		f.filled(r)
		if !f.refused(err) {
			return err
		}
		w.code = f.Code
		return c.showSubscription(w, r, p, f)
	}
	return w.redirect("/subscription?notice=licence")
}

func licenceOf(r *http.Request) ([]byte, error) {
	if text := bytes.TrimSpace([]byte(r.PostFormValue("licence"))); len(text) > 0 {
		return append(text, '\n'), nil
	}
	if r.MultipartForm == nil {
		return nil, fault.New(fault.LicenceInvalid, "Choose a licence file, or paste it.").In("licence")
	}
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return nil, fault.New(fault.LicenceInvalid, "Choose a licence file, or paste it.").In("licence")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "The form is malformed.")
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxLicence+1))
	if err != nil || len(b) > maxLicence {
		return nil, fault.New(fault.LicenceInvalid, "This is larger than any licence file.").In("licence")
	}
	return b, nil
}
