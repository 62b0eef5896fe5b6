package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

// maxExtensions bounds the file of the extensions' e-mail addresses.
const maxExtensions = 4 << 20

// View is all that Remote Management shows.
func (a *Agent) View(context.Context) (manage.View, error) {
	i := a.passes.identity()
	a.mu.Lock()
	s := a.settings
	a.mu.Unlock()
	d := a.cfg.Device
	v := manage.View{
		Status: a.Status(), Default: a.cfg.DefaultServer, Fixed: a.cfg.Server,
		Type: s.ServerType, Server: or(s.Server, i.Server), Method: s.Method, Email: s.Email, CA: i.CA != "",
		Serial:       fact(string(d.Serial), or(string(i.Serial), string(s.Serial))),
		Model:        fact(d.Model, s.Model),
		Firmware:     fact(d.Firmware, s.Firmware),
		Portal:       fact(a.cfg.Portal.URL, or(a.portalURL(i), DefaultPortal)),
		Passwordless: s.Passwordless, AutoLogout: s.AutoLogout, Off: s.Off, OffSince: s.OffSince,
	}
	if i.Device == "" && s.Server == "" && v.Default != "" {
		v.Type = manage.DefaultServer // it is what most will want
	}
	if a.page != nil {
		v.Page = a.page.URL()
	}
	if s.Account != nil {
		v.Account = s.Account.User
	}
	v.AccountTold, v.AccountDoubt = a.cfg.Portal.Account.Tells(), a.accountDoubt(s)
	v.Barred = a.barred()
	v.Now, v.Past = a.Visits()
	return v, nil
}

func fact(configured, known string) manage.Fact {
	return manage.Fact{Value: or(configured, known), Configured: configured != ""}
}

// Change connects, changes the settings, and lets both take effect, whether the
// agent runs or not.
func (a *Agent) Change(ctx context.Context, c manage.Change) error {
	names, err := a.names()
	if err != nil {
		return err
	}
	err = a.change(ctx, c, names)
	a.mu.Lock()
	s := a.settings // an account is kept also if what comes after it is refused
	a.mu.Unlock()
	if s.Off {
		a.endVisits(fault.RemoteOff, func(manage.Visit) bool { return true })
	}
	a.SetAccess(accessOf(s))
	return err
}

func (a *Agent) change(ctx context.Context, c manage.Change, names manage.Names) error {
	if err := checkPortal(c.Portal); err != nil {
		return err
	}
	a.mu.Lock()
	_, err := c.Apply(a.settings, names, time.Now())
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if c.Account != nil && a.cfg.Portal.Account.Tells() {
		// First of all: it may be refused, and of a connection the provider knows.
		if err := a.setAccount(ctx, *c.Account, names); err != nil {
			return err
		}
		c.Account = nil
	}
	if c.Connect != nil {
		q, err := a.activate(ctx, *c.Connect)
		if err != nil {
			a.refused(err)
			return told(err)
		}
		defer a.renew() // whatever becomes of the settings
		c.Connect = &q
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := c.Apply(a.settings, names, time.Now())
	if err != nil {
		return err
	}
	if q := c.Connect; q != nil {
		s.ServerType, s.Server, s.Method, s.Email = q.ServerType, q.Server, q.Method, q.Email
		s.Serial, s.Model, s.Firmware = q.Serial, q.Model, q.Firmware
		s.Portal = q.Portal
	}
	if c.Portal != nil {
		s.Portal = *c.Portal
	}
	return a.keep(s)
}

// checkPortal takes the address of a web portal, and none.
func checkPortal(s *string) error {
	if s == nil || *s == "" {
		return nil
	}
	if _, err := parseOrigin(*s); err != nil {
		return fault.New(fault.Invalid, "The web portal's address: %v.", err).In("portal")
	}
	return nil
}

// refused shows why a PBX that has no provider yet has none still. One that has
// is as it was.
func (a *Agent) refused(err error) {
	switch code := fault.CodeOf(err); {
	case code == fault.Invalid, code == fault.InProgress, a.passes.identity().Device != "":
		return
	}
	v := judge(err)
	a.state.rest(v.state, v.code, v.reason)
}

// told is err as its receiver may read it: the PBX's staff may know what is
// wrong with its files and its network.
func told(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	if unknownAuthority(err) { // the status has the rest
		return fault.New(fault.Unavailable, "The server's certificate is not signed by an authority that this machine trusts. "+
			"Give the provider's CA: under Advanced on the page, by `connect --ca FILE`, or as ca_file.").In("ca")
	}
	return fault.New(fault.Unavailable, "%s", Printable(err.Error()))
}

// renew begins another life with the identity that there is now.
func (a *Agent) renew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.damage = nil
	a.another(nil)
}

// keep stores the settings and lets them take effect. mu is held: the order on
// disk is that in memory.
func (a *Agent) keep(s manage.Settings) error {
	if err := a.dir.writeJSON(settingsFile, s); err != nil {
		return fault.New(fault.Unavailable, "The settings could not be stored: %v.", err)
	}
	was, unread, portal := a.settings.Off, a.unread, a.settings.Portal
	a.settings, a.unread = s, nil
	switch {
	case unread != nil:
		a.log.Info("settings saved anew", zap.Bool("off", s.Off))
		a.another(nil)
	case s.Off && !was:
		a.log.Info("remote access switched off")
		a.another(errOff)
	case was && !s.Off:
		a.log.Info("remote access switched on")
		a.another(nil)
	case s.Portal != portal:
		a.log.Info("another web portal", zap.String("portal", s.Portal))
		a.another(nil)
	}
	return nil
}

// another ends the life that goes on, so that the next one begins. mu is held.
func (a *Agent) another(why error) {
	if a.end != nil {
		a.end(why)
	}
}

// names are those that the remote account must not have.
func (a *Agent) names() (manage.Names, error) {
	d := a.cfg.Device
	n := manage.Names{SuperAdmin: d.SuperAdmin, Extensions: d.Extensions}
	if d.ExtensionsFile == "" {
		return n, nil
	}
	f, err := os.Open(d.ExtensionsFile)
	if err != nil {
		return n, fault.New(fault.Unavailable, "The extensions' e-mail addresses cannot be read: %v.", err)
	}
	defer f.Close()
	more, err := lines(f)
	if err != nil {
		return n, fault.New(fault.Unavailable, "The extensions' e-mail addresses cannot be read: %v.", err)
	}
	n.Extensions = append(more, n.Extensions...)
	return n, nil
}

func lines(r io.Reader) ([]string, error) {
	limited := io.LimitReader(r, maxExtensions+1)
	var out []string
	size := 0
	for s := bufio.NewScanner(limited); ; {
		if !s.Scan() {
			return out, s.Err()
		}
		if size += len(s.Bytes()) + 1; size > maxExtensions {
			return nil, fmt.Errorf("the file is larger than %d bytes", maxExtensions)
		}
		if l := strings.TrimSpace(s.Text()); l != "" {
			out = append(out, l)
		}
	}
}
