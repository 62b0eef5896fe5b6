package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// activateTries is how often an activation is sent whose answer got lost.
// The same request gets the same answer, so asking again is harmless.
const activateTries = 5

// Activation is what a person gives to connect a PBX to a provider.
type Activation struct {
	Data     string // the agent's directory
	Server   string // the provider's console
	CAFile   string // "": the system's roots
	Email    string
	Password string // secret
	Serial   id.Serial
	Model    string
	Firmware string
	Portal   string // "": DefaultPortal
}

// Validate names what is missing or wrong, but for the password.
func (q Activation) Validate() error {
	missing := func(what, from string) error { return fmt.Errorf("%s is missing: give %s", what, from) }
	switch {
	case q.Server == "":
		return missing("the server", "--server, or server in the configuration file")
	case q.Email == "":
		return missing("the e-mail address", "--email")
	case q.Serial == "":
		return missing("the PBX's serial number", "--sn, or device.serial in the configuration file")
	case q.Model == "":
		return missing("the PBX's model", "--model, or device.model in the configuration file")
	case q.Firmware == "":
		return missing("the PBX's firmware version", "--firmware, or device.firmware in the configuration file")
	}
	if err := checkServer(q.Server); err != nil {
		return err
	}
	if q.Portal != "" {
		if _, err := parseOrigin(q.Portal); err != nil {
			return fmt.Errorf("portal: %w", err)
		}
	}
	return nil
}

// InputError is a mistake in an Activation.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// Activate makes this PBX one of the provider's and stores who it is from then
// on. Control's refusal is a *fault.Error. It errs with ErrBusy while an agent
// runs on the directory.
func Activate(ctx context.Context, q Activation, log *zap.Logger) (Identity, error) {
	if err := q.Validate(); err != nil {
		return Identity{}, &InputError{err}
	}
	ca, err := readCA(q.CAFile)
	if err != nil {
		return Identity{}, &InputError{err}
	}
	roots, err := serverRoots("", ca)
	if err != nil {
		return Identity{}, &InputError{err}
	}
	client, idle, err := newClient(q.Server, roots)
	if err != nil {
		return Identity{}, &InputError{err}
	}
	defer idle()
	d, err := openDir(q.Data)
	if err != nil {
		return Identity{}, err
	}
	defer d.Close()
	if err := d.belongsTo(q.Serial); err != nil {
		return Identity{}, err
	}
	key, err := d.keyOrNew()
	if err != nil {
		return Identity{}, err
	}
	g, err := ask(ctx, client, controlapi.ActivationRequest{
		Serial: q.Serial, Model: q.Model, Firmware: q.Firmware,
		PublicKey: key.Public().(ed25519.PublicKey), Proof: controlapi.ActivationProof(key, q.Serial),
		Email: q.Email, Password: q.Password,
	}, log)
	if err != nil {
		return Identity{}, err
	}
	i, err := Identity{Server: q.Server, CA: ca, Portal: q.Portal, Serial: q.Serial}.grant(g, time.Now())
	if err != nil {
		return Identity{}, err
	}
	if err := d.saveIdentity(i); err != nil {
		return Identity{}, fmt.Errorf("the provider took this PBX, but that could not be stored; run connect again: %w", err)
	}
	return i, nil
}

// ask sends the same request until there is an answer.
func ask(ctx context.Context, c *controlapi.Client, q controlapi.ActivationRequest, log *zap.Logger) (controlapi.Grant, error) {
	retry := backoff{base: 500 * time.Millisecond, max: 10 * time.Second}
	for try := 1; ; try++ {
		g, err := c.Activate(ctx, q)
		if err == nil {
			return g, nil
		}
		if ctx.Err() != nil {
			return controlapi.Grant{}, ctx.Err()
		}
		if f := refusal(err); f != nil {
			return controlapi.Grant{}, f
		}
		err = explain(err, time.Now())
		if try == activateTries || isCertificate(err) {
			return controlapi.Grant{}, fmt.Errorf("activate: %w", unfault(err))
		}
		wait := hinted(retry.next(), retryHint(err))
		log.Warn("no answer from the server; asking again", zap.Int64("wait_ms", wait.Milliseconds()), zap.Error(err))
		select {
		case <-ctx.Done():
			return controlapi.Grant{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// refusal is control's no, which asking again does not change, or nil. That
// control is away or broken is no refusal.
func refusal(err error) *fault.Error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code == fault.Unavailable || f.Code == fault.Internal {
		return nil
	}
	c := *f
	c.Message = Printable(c.Message)
	return &c
}

// unfault keeps a fault that is no refusal from being taken for one.
func unfault(err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return errors.New(Printable(err.Error()))
	}
	return err
}

// belongsTo refuses to make one PBX's directory another's.
func (d *dir) belongsTo(sn id.Serial) error {
	i, err := d.identity()
	if err == nil && i.Serial != sn {
		return fmt.Errorf("%s holds the identity of the PBX %s, and this is %s; give another directory with --data, or remove that one",
			d.path, i.Serial, sn)
	}
	// None yet, or a damaged one that this activation replaces.
	return nil
}

func readCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("CA file: %w", err)
	}
	if len(b) > maxIdentitySize/4 {
		return "", errors.New("CA file: too large; give the provider's CA alone")
	}
	if _, err := pool(b); err != nil {
		return "", fmt.Errorf("CA file: %w", err)
	}
	return string(b), nil
}

// CheckPortal tries the portal of c once, for connect to say that it works.
func CheckPortal(ctx context.Context, c Portal) error {
	p, err := newPortal(c)
	if err != nil {
		return err
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.origin, err)
	}
	return conn.Close()
}
