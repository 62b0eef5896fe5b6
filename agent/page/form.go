package page

import (
	"net/http"
	"strconv"

	"trunkline/agent/manage"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

// render is the page for who has signed in: the form as it is, or as it was
// typed, with what is wrong with it.
func (g *Page) render(w http.ResponseWriter, r *http.Request, status int, f form, done string) {
	v, err := g.desk.View(r.Context())
	if err != nil {
		g.fail(w, r, http.StatusServiceUnavailable, "Not available", "The agent does not answer. See its log.")
		return
	}
	title := "Remote Management"
	if f.problem != "" {
		title = "Not saved"
	}
	who := v.Serial.Value
	if v.Status.Name != "" {
		who = v.Status.Name + " · " + who
	}
	header := tag("header", attrs{"class", "top"}, tag("div", attrs{"class", "top-in"},
		brand(),
		tag("span", attrs{"class", "who"}, tag("bdi", nil, text(who))),
		tag("form", attrs{"method", "post", "action", "/sign-out"}, tag("button", attrs{"class", "btn quiet"}, text("Sign out"))),
	))
	main := join(
		tag("h1", attrs{"class", "hidden"}, text("Remote Management")),
		when(done != "", tag("p", attrs{"class", "notice", "role", "status"}, text(done))),
		problemBox(f),
		tag("div", attrs{"class", "columns"},
			tag("div", attrs{"id", "live", "class", "stack"}, liveRegion(v)),
			settings(v, f)))
	write(w, status, document(title, "", header, main))
}

// problemBox leads to the field at fault.
func problemBox(f form) markup {
	if f.problem == "" {
		return ""
	}
	words := text(f.problem)
	if known[f.field] {
		words = tag("a", attrs{"href", "#" + f.field}, words)
	}
	return tag("p", attrs{"class", "alert", "role", "alert", "id", "problem", "tabindex", "-1", "autofocus?", flag(!known[f.field])},
		words, text(" "), tag("code", nil, text(string(codeOf(f)))))
}

func codeOf(f form) fault.Code {
	if f.code == "" {
		return fault.Invalid
	}
	return f.code
}

// known are the fields that a fault may name.
var known = map[string]bool{
	"server_type": true, "server": true, "ca": true, "method": true, "email": true, "password": true, "code": true, "serial": true,
	"model": true, "firmware": true, "portal": true, "account_user": true, "account_password": true, "auto_logout": true,
}

// settings is the form.
func settings(v manage.View, f form) markup {
	s := shower{v: v, f: f}
	return tag("form", attrs{"class", "card stack settings", "method", "post", "action", "/save", "enctype", "multipart/form-data", "id", "settings", "aria-labelledby", "settings-h"},
		tag("h2", attrs{"id", "settings-h"}, text("Connection")),
		s.choice("server_type", "Remote Connection Server Type", string(v.Type), serverHint(v), [][2]string{
			{string(manage.DefaultServer), "Default Remote Connection Server"}, {string(manage.CustomServer), "Custom"}}, v.Default == ""),
		tag("div", attrs{"class", "field if-custom"}, s.field("server", "Server Address", v.Server, "The provider's server: a host, host:port, or https://host:port.", attrs{
			"type", "text", "inputmode", "url", "maxlength", strconv.Itoa(manage.MaxAddress), "autocapitalize", "none", "spellcheck", "false", "autocomplete", "off"})),
		s.choice("method", "Activation Method", string(v.Method), "", [][2]string{
			{string(manage.ByEmail), "By Email"}, {string(manage.ByCode), "Authentication Code"}}, false),
		tag("div", attrs{"class", "pair if-email"},
			tag("div", attrs{"class", "field"}, s.field("email", "Email", v.Email, "", attrs{"type", "email", "maxlength", strconv.Itoa(manage.MaxEmail), "autocomplete", "off"})),
			tag("div", attrs{"class", "field"}, s.secret("password", "Password", connectedHint(v), controlapi.MaxPassword))),
		tag("div", attrs{"class", "field if-code"}, s.field("code", "Authentication Code", "", "From the provider, who makes it by adding this device. It works once.", attrs{
			"type", "text", "maxlength", strconv.Itoa(manage.MaxCode), "autocomplete", "off", "autocapitalize", "characters", "spellcheck", "false", "class", "mono"})),
		s.facts(),
		s.advanced(),
		s.account(),
		s.passwordless(),
		tag("div", attrs{"class", "field"}, s.field("auto_logout", "Auto Logout Time", strconv.Itoa(v.AutoLogout), "Minutes without an operation, 5 to 120, after which a passwordless visit ends.", attrs{
			"type", "number", "min", strconv.Itoa(manage.MinAutoLogout), "max", strconv.Itoa(manage.MaxAutoLogout), "inputmode", "numeric", "class", "short"})),
		tag("p", nil, tag("button", attrs{"class", "btn primary", "id", "save"}, text("Save"))))
}

func serverHint(v manage.View) string {
	switch {
	case v.Fixed != "":
		return "The configuration file allows " + v.Fixed + " alone."
	case v.Default == "":
		return "The default server cannot be chosen: the configuration file names none (default_server)."
	}
	return "The default is " + v.Default + "."
}

func connectedHint(v manage.View) string {
	if v.Status.Device == "" {
		return "It is used once and not kept."
	}
	return "Only to connect anew. It is used once and not kept."
}

// shower shows fields: as typed, or as they are.
type shower struct {
	v manage.View
	f form
}

func (s shower) value(name, now string) string {
	if s.f.values != nil {
		return s.f.values.Get(name)
	}
	return now
}

// describe is the field's hint, or what is wrong with it, and the attributes
// that tie them to it.
func (s shower) describe(name, hint string) (markup, attrs) {
	if s.f.field == name {
		return tag("p", attrs{"class", "wrong", "id", name + "-note"}, text(s.f.problem)),
			attrs{"aria-invalid", "true", "aria-describedby", name + "-note", "autofocus?", "1"}
	}
	if hint == "" {
		return "", nil
	}
	return tag("p", attrs{"class", "hint", "id", name + "-note"}, text(hint)), attrs{"aria-describedby", name + "-note"}
}

func (s shower) field(name, label, now, hint string, a attrs) markup {
	note, described := s.describe(name, hint)
	a = append(append(attrs{"id", name, "name", name, "value", s.value(name, now)}, a...), described...)
	return join(tag("label", attrs{"for", name}, text(label)), tag("input", a), note)
}

func (s shower) secret(name, label, hint string, most int) markup {
	note, described := s.describe(name, hint)
	a := append(attrs{"id", name, "name", name, "type", "password", "maxlength", strconv.Itoa(most), "autocomplete", "new-password"}, described...)
	return join(tag("label", attrs{"for", name}, text(label)), tag("input", a), note)
}

func (s shower) choice(name, label, now, hint string, of [][2]string, barFirst bool) markup {
	note, described := s.describe(name, hint)
	chosen := s.value(name, now)
	var options []markup
	for i, o := range of {
		options = append(options, tag("option", attrs{"value", o[0], "selected?", flag(o[0] == chosen), "disabled?", flag(barFirst && i == 0)}, text(o[1])))
	}
	return tag("div", attrs{"class", "field"}, tag("label", attrs{"for", name}, text(label)),
		tag("select", append(attrs{"id", name, "name", name}, described...), options...), note)
}

// facts asks for what the configuration does not say of the PBX.
func (s shower) facts() markup {
	return tag("fieldset", nil, tag("legend", nil, text("This PBX")), tag("div", attrs{"class", "triple"},
		s.fact("serial", "Serial Number", "", s.v.Serial, manage.MaxPhrase),
		s.fact("model", "Model", "", s.v.Model, manage.MaxPhrase),
		s.fact("firmware", "Firmware", "", s.v.Firmware, manage.MaxPhrase)))
}

func (s shower) fact(name, label, hint string, f manage.Fact, limit int) markup {
	if f.Configured {
		return tag("div", attrs{"class", "field"}, tag("span", attrs{"class", "label"}, text(label)), tag("span", attrs{"class", "fixed"}, text(f.Value)))
	}
	return tag("div", attrs{"class", "field"}, s.field(name, label, f.Value, hint, attrs{
		"type", "text", "maxlength", strconv.Itoa(limit), "autocomplete", "off", "spellcheck", "false"}))
}

func (s shower) advanced() markup {
	hint := "Needed only if the provider's server has a certificate that no public authority signed. Paste the provider's CA, or choose its file."
	if s.v.CA {
		hint = "A CA is kept. " + hint
	}
	note, described := s.describe("ca", hint)
	open := flag(s.f.field == "ca" || s.f.field == "portal" || s.value("ca", "") != "")
	return tag("details", attrs{"open?", open}, tag("summary", nil, text("Advanced")),
		s.fact("portal", "Web Portal", "Where this PBX has its own web portal: http:// or https://host:port.", s.v.Portal, manage.MaxAddress),
		tag("div", attrs{"class", "field"},
			tag("label", attrs{"for", "ca"}, text("CA certificate (PEM)")),
			tag("textarea", append(attrs{"id", "ca", "name", "ca", "rows", "4", "spellcheck", "false", "class", "mono", "placeholder", "-----BEGIN CERTIFICATE-----"}, described...), "\n"+text(s.value("ca", ""))),
			note,
			tag("label", attrs{"for", "ca_file"}, text("or its file")),
			tag("input", attrs{"id", "ca_file", "name", "ca_file", "type", "file", "accept", ".pem,.crt,.cer"})))
}

func (s shower) account() markup {
	hint := "Account Login: the PBX's own account, with administrator rights, that the provider signs in with. Not the super administrator's name, and no extension's e-mail. Empty: none. "
	if s.v.AccountTold {
		hint += "The PBX is told when this is saved."
	} else {
		hint += "The PBX is not told: make this account there yourself."
	}
	keep := ""
	if s.v.Account != "" {
		keep = "Leave empty to keep it."
	}
	return tag("fieldset", nil, tag("legend", nil, text("Account")),
		tag("p", attrs{"class", "hint", "id", "account-hint"}, text(hint)),
		when(s.v.AccountDoubt != "", tag("p", attrs{"class", "wrong", "id", "account-doubt"}, text(s.v.AccountDoubt))),
		tag("div", attrs{"class", "pair"},
			tag("div", attrs{"class", "field"}, s.field("account_user", "Username", s.v.Account, "", attrs{"type", "text", "maxlength", "64", "autocomplete", "off", "autocapitalize", "none", "spellcheck", "false"})),
			tag("div", attrs{"class", "field"}, s.secret("account_password", "Password", keep, manage.MaxPassword))))
}

func (s shower) passwordless() markup {
	on := s.v.Passwordless
	if s.f.values != nil {
		on = s.f.values.Get("passwordless") == "on"
	}
	hint := "The provider's people may come in as super administrator without a password, if the provider allows it too. Their names are in the visits."
	if s.v.Barred != "" {
		hint += " " + s.v.Barred
	}
	return tag("div", attrs{"class", "field"},
		tag("label", attrs{"class", "switch", "for", "passwordless"},
			tag("input", attrs{"id", "passwordless", "name", "passwordless", "type", "checkbox", "role", "switch", "value", "on", "checked?", flag(on), "aria-describedby", "passwordless-note"}),
			tag("span", nil, text("Passwordless Login"))),
		tag("p", attrs{"class", "hint", "id", "passwordless-note"}, text(hint)))
}
