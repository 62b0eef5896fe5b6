package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/account"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

// setAccount has the PBX know the account before the settings do.
//
// What breaks in between must not leave the two apart for good, and nothing can
// be repeated when the agent starts again: the settings have no password. So
// the settings say first that the PBX is being told (Doubt), then the PBX is
// told, and then the settings have the account and no doubt. A disk that is full
// refuses before the PBX hears anything. After a crash, a disk that fails in the
// middle, or a program that was ended, the doubt stands in the settings, and is
// shown until the account is saved again with a password, or taken away; the
// program then hears of every name that the PBX may have.
func (a *Agent) setAccount(ctx context.Context, c manage.AccountChange, n manage.Names) error {
	if !a.telling.CompareAndSwap(false, true) {
		return fault.New(fault.InProgress, "The PBX is being told of another change of this account. Wait for that to end.").In("account_user")
	}
	defer a.telling.Store(false)
	a.mu.Lock()
	was := a.settings
	a.mu.Unlock()
	s, err := manage.Change{Account: &c}.Apply(was, n, time.Now())
	if err != nil || s.Account == was.Account && (s.Account != nil || was.Doubt == nil) {
		return err // wrong, or as it is
	}
	doubt, f := doubtOf(was, s.Account)
	if f != nil {
		return f
	}
	if err := a.keepAccount(was.Account, doubt); err != nil {
		return err
	}
	// Whoever asked may go away: the program does not stop half-way for that.
	if err := a.cfg.Portal.Account.Tell(context.WithoutCancel(ctx), wordOf(was, s.Account, c.Password)); err != nil {
		return a.notTold(err, was, s.Account)
	}
	if s.Account != nil {
		s.Account.Told = true
		a.log.Info("the PBX was told of its account for remote access", zap.String("user", Printable(s.Account.User)))
	} else {
		a.log.Info("the PBX was told that there is no account for remote access")
	}
	if err := a.keepAccount(s.Account, nil); err != nil {
		return fault.New(fault.Unavailable, "The PBX has been told, but this could not be stored: %v. Save it again.", err).In("account_user")
	}
	return nil
}

// doubtOf is what the PBX may know while it is told of next.
func doubtOf(was manage.Settings, next *manage.Account) (*manage.Doubt, *fault.Error) {
	d := &manage.Doubt{Names: []string{}}
	if was.Doubt != nil {
		d.Names = slices.Clone(was.Doubt.Names)
	}
	if next == nil || slices.Contains(d.Names, next.User) || was.Account != nil && was.Account.User == next.User {
		return d, nil
	}
	if len(d.Names) >= manage.MaxDoubt {
		return nil, fault.New(fault.Unavailable, "It is not certain how %d changes of this account ended. "+
			"Take the account away first: portal.account.command then removes all of them.", len(d.Names)).In("account_user")
	}
	d.Names = append(d.Names, next.User)
	return d, nil
}

func wordOf(was manage.Settings, next *manage.Account, password string) account.Word {
	w := account.Word{Password: password}
	if next != nil {
		w.User = next.User
	}
	if was.Account != nil && was.Account.User != w.User {
		w.Was = was.Account.User
	}
	if was.Doubt != nil {
		w.Doubt = slices.DeleteFunc(slices.Clone(was.Doubt.Names), func(n string) bool { return n == w.User || n == w.Was })
	}
	return w
}

// notTold is the refusal for what the program said. If the PBX has not changed,
// the settings are as they were; where that cannot be stored the doubt stays,
// which is harmless.
func (a *Agent) notTold(err error, was manage.Settings, next *manage.Account) error {
	field := "account_user"
	if next != nil && was.Account != nil && next.User == was.Account.User {
		field = "account_password"
	}
	a.log.Warn("the PBX has not taken its account for remote access", zap.Error(err))
	var e *account.Error
	if errors.As(err, &e) && e.Unknown {
		return fault.New(fault.Unavailable, "It is not certain that the PBX has this account: %s. Save it again, or look there.", e.Words).In(field)
	}
	if err := a.keepAccount(was.Account, was.Doubt); err != nil {
		a.log.Warn("that the PBX has its account as before was not stored", zap.Error(err))
	}
	return fault.New(fault.Unavailable, "The PBX has not taken this account: %v.", err).In(field)
}

// keepAccount stores these of the settings, and leaves what else was decided
// meanwhile.
func (a *Agent) keepAccount(x *manage.Account, d *manage.Doubt) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.settings
	s.Account, s.Doubt = x, d
	return a.keep(s)
}

// accountDoubt says why the PBX may have another account than s, and what to do;
// "" if it has this one.
func (a *Agent) accountDoubt(s manage.Settings) string {
	const again = "Save the account again with its password, or without a user name."
	switch d := s.Doubt; {
	case !a.cfg.Portal.Account.Tells():
		return ""
	case a.telling.Load():
		return "The PBX is being told of a change."
	case d != nil && len(d.Names) > 0:
		return "A change was cut off: the PBX may have another account than this (" + strings.Join(d.Names, ", ") + "). " + again
	case d != nil:
		return "A change was cut off: the PBX may have another account than this, or none. " + again
	case s.Account != nil && !s.Account.Told:
		return "The PBX has not been told of this account yet. " + again
	}
	return ""
}
