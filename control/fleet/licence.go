package fleet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"go.uber.org/zap"

	"trunkline/control/license"
	"trunkline/internal/fault"
)

// licenceTx keeps the licence files that were installed.
type licenceTx interface {
	// Licences gives at most limit files, the newest first.
	Licences(limit int) ([]LicenceFile, error)
	AddLicence(l LicenceFile) error
}

// LicenceFile is a licence as it was installed.
type LicenceFile struct {
	File      []byte
	Installed time.Time
	Actor     string // e-mail
}

// licencesLooked is how many files are considered: the present one, one for
// the time after it, and some that were mistakes.
const licencesLooked = 8

// license gives the licence that counts now, of those in the database and the
// one that the configuration names. The database's are verified each time:
// whoever can write there must not be able to add connections.
func (f *Fleet) license(tx Tx, now time.Time) (license.License, error) {
	best := f.opts.License()
	if f.opts.LicenseKey == nil {
		return best, nil
	}
	files, err := tx.Licences(licencesLooked)
	if err != nil {
		return license.License{}, err
	}
	for i := len(files) - 1; i >= 0; i-- { // the newest last: it wins among equals
		l, err := license.Verify(f.opts.LicenseKey, files[i].File)
		if err != nil {
			// The key was changed: the file is another vendor's now. Once is
			// enough to say so: this is asked at every turn.
			if at := files[i].Installed.UnixMicro(); f.oddLicence.Swap(at) != at {
				f.log.Warn("a licence in the database does not count", zap.Time("installed", files[i].Installed), zap.Error(err))
			}
			continue
		}
		if outranks(l, best, now) {
			best = l
		}
	}
	return best, nil
}

// outranks: what is in force counts more than what is not, and the one that
// began later more than the older. The trial that needs no licence ends when
// the first one begins, and does not come back when it is over.
func outranks(l, than license.License, now time.Time) bool {
	if free := than.Plan == license.PlanTrial && than.Expires.IsZero(); free {
		return !now.Before(l.NotBefore)
	}
	if in := l.InForce(now); in != than.InForce(now) {
		return in
	}
	return !l.NotBefore.Before(than.NotBefore)
}

// InstallLicense puts a licence file in force, or keeps it for the time when
// it will be. The same file again changes nothing.
func (f *Fleet) InstallLicense(ctx context.Context, p Principal, file []byte) (Subscription, error) {
	if err := p.check(); err != nil {
		return Subscription{}, err
	}
	now := f.clock()
	var s Subscription
	err := f.decide(ctx, p.entry(now, ActionLicenceInstall, "licence"), func(tx Tx, e *AuditEntry) error {
		a, err := tx.Account(p.Account)
		if err != nil {
			return err
		}
		if a.Parent != "" || p.Role != RoleOwner && p.Role != RoleAdmin {
			return fault.New(fault.Forbidden, "Only an owner or an admin of the installation's own account may install a licence.")
		}
		l, err := f.usable(file, now)
		if err != nil {
			return err
		}
		e.Object, e.Detail = "licence of "+l.Holder, fmt.Sprintf("plan %s, %d connections, %s", l.Plan, l.Connections, until(l.Expires))
		have, err := tx.Licences(1)
		if err != nil {
			return err
		}
		if len(have) == 0 || string(have[0].File) != string(file) {
			if err := tx.AddLicence(LicenceFile{File: file, Installed: now, Actor: p.Email}); err != nil {
				return err
			}
		}
		s, err = f.subscription(tx, a.ID, now)
		return err
	})
	if err == nil {
		f.freed()
		f.log.Info("licence installed", zap.String("status", s.Status), zap.Int("connections", s.Connections), zap.Time("expires", s.Expires))
	}
	return s, err
}

// usable verifies a file and says what is wrong with it in words.
func (f *Fleet) usable(file []byte, now time.Time) (license.License, error) {
	bad := func(format string, args ...any) error {
		return fault.New(fault.LicenceInvalid, format, args...).In("licence")
	}
	if f.opts.LicenseKey == nil {
		return license.License{}, bad("This installation has no key to verify licences with. Set license_key in control's configuration and restart it.")
	}
	l, err := license.Verify(f.opts.LicenseKey, file)
	switch {
	case errors.Is(err, license.ErrSignature):
		return l, bad("The licence is not signed for this installation, or was changed. Upload the file as you got it.")
	case err != nil:
		return l, bad("This is not a licence file. Upload the file as you got it: a line of JSON and a line of base64.")
	case !l.Expires.IsZero() && !now.Before(l.Expires.Add(license.Grace)):
		return l, bad("This licence expired on %s.", day(l.Expires))
	}
	return l, nil
}

// licenceWarnings are the days before the end of a licence from which on it
// is said, the last of them most urgently.
var licenceWarnings = [...]int{30, 7, 1}

// outlook says what is due, "" if nothing is, and what happens next.
func outlook(l license.License, c capacity, now time.Time) (warning, next string) {
	renew := "Install a new licence."
	if !c.root {
		renew = "Ask your provider."
	}
	grace := day(l.Expires.Add(license.Grace))
	switch {
	case now.Before(l.NotBefore):
		warning = "The licence begins on " + day(l.NotBefore) + ". Until then PBXs stay connected, and new activations and visits are refused."
		next = "It begins on " + day(l.NotBefore) + "."
	case l.Expires.IsZero():
		next = "It does not expire."
	case !l.InForce(now):
		warning = "The licence expired on " + day(l.Expires) + " and its days of grace are over: new activations and visits are refused. PBXs stay connected. " + renew
		next = "PBXs stay connected. New activations and visits go on when there is a new licence."
	case l.InGrace(now):
		warning = "The licence expired on " + day(l.Expires) + ". Everything goes on until " + grace + "; then new activations and visits are refused. " + renew
		next = "On " + grace + " the days of grace end: new activations and visits are refused then, and PBXs stay connected."
	default:
		next = "It expires on " + day(l.Expires) + ". Everything goes on for " + count(int(license.Grace.Hours()/24), "day", "days") +
			" of grace; then new activations and visits are refused, and PBXs stay connected."
		if left := daysLeft(l.Expires, now); left <= licenceWarnings[0] {
			warning = "The licence expires in " + count(left, "day", "days") + ", on " + day(l.Expires) + ". " + renew
		}
	}
	if over := -c.free(); over > 0 && warning == "" {
		warning = fmt.Sprintf("%s in use or given to resellers, and there are only %d: PBXs stay connected, new ones are refused. %s",
			count(c.total+over, "connection is", "connections are"), c.total, renew)
	}
	return warning, next
}

// daysLeft counts a begun day as one.
func daysLeft(end, now time.Time) int { return int(math.Ceil(end.Sub(now).Hours() / 24)) }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func until(t time.Time) string {
	if t.IsZero() {
		return "without an end"
	}
	return "until " + day(t)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// watchLicence keeps the metrics right and warns in the log, once for each of
// the days that licenceWarnings names and once for the end and the end of the
// days of grace.
func (f *Fleet) watchLicence(ctx context.Context) error {
	now := f.clock()
	var s Subscription
	var all int
	err := f.view(ctx, "watch licence", func(tx Tx) error {
		root, err := tx.Root()
		if errors.Is(err, ErrNoRow) {
			return nil
		}
		if err != nil {
			return err
		}
		if s, err = f.subscription(tx, root.ID, now); err != nil {
			return err
		}
		all, err = tx.CountSites()
		return err
	})
	if err != nil || s.Status == "" {
		return err
	}
	f.metrics.licence(s, all)
	stage := licenceStage(s, now)
	if stage != f.licenceStage && s.Warning != "" {
		f.log.Warn("licence", zap.String("status", s.Status), zap.String("warning", s.Warning), zap.Time("expires", s.Expires))
	}
	f.licenceStage = stage
	return nil
}

// licenceStage is another value for each warning that is worth a line.
func licenceStage(s Subscription, now time.Time) string {
	switch {
	case s.Warning == "":
		return ""
	case s.Expires.IsZero() || s.Status == string(license.NotSubscribed) || s.Grace:
		return s.Warning
	}
	stage := "capacity"
	for _, d := range licenceWarnings {
		if daysLeft(s.Expires, now) <= d {
			stage = strconv.Itoa(d)
		}
	}
	return stage
}

// checkLicenseKey accepts none, or one that ed25519 does not panic about.
func checkLicenseKey(k ed25519.PublicKey) error {
	if k != nil && len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("fleet: a licence key of %d bytes", len(k))
	}
	return nil
}
