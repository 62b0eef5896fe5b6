package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/agent/standby"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/tunnel"
)

// activateTries is how often an activation is sent whose answer got lost.
// The same request gets the same answer, so asking again is harmless.
const activateTries = 5

// Activation is what connects a PBX of which no agent runs.
type Activation struct {
	Data     string // the agent's directory
	Server   string // the provider's console
	CAFile   string // "": the system's roots
	Email    string
	Password string // secret
	Code     string // secret; instead of the two
	Serial   id.Serial
	Model    string
	Firmware string
	Portal   string         // "": DefaultPortal
	Standby  standby.Config // the zero value: a single PBX
}

// CheckPublic checks all but the password and the code.
func (q Activation) CheckPublic() error {
	m, err := q.order()
	if err != nil {
		return err
	}
	return m.CheckPublic()
}

func (q Activation) order() (manage.Activation, error) {
	ca, err := ReadCA(q.CAFile)
	m := manage.Activation{
		ServerType: manage.CustomServer, Server: q.Server, CA: ca, Method: manage.ByEmail, Email: q.Email, Password: q.Password,
		Code: q.Code, Serial: q.Serial, Model: q.Model, Firmware: q.Firmware, Portal: q.Portal,
	}
	if q.Code != "" {
		m.Method = manage.ByCode
	}
	return m, err
}

// Activate makes this PBX one of the provider's and stores who it is from then
// on. A mistake in q, and control's refusal, is a *fault.Error. It errs with
// ErrBusy while an agent runs on the directory.
func Activate(ctx context.Context, q Activation, log *zap.Logger) (Identity, error) {
	m, err := q.order()
	if err != nil {
		return Identity{}, err
	}
	c := Default()
	c.Data = q.Data
	if q.Standby.Every != 0 {
		c.Standby = q.Standby
	}
	a, err := New(c, log, prometheus.NewRegistry())
	if err != nil {
		return Identity{}, err
	}
	defer a.Close()
	if err := a.Change(ctx, manage.Change{Connect: &m}); err != nil {
		return Identity{}, err
	}
	return a.passes.identity(), nil
}

// activate asks control, and stores who this PBX is from then on. It returns
// what was asked in full.
func (a *Agent) activate(ctx context.Context, q manage.Activation) (manage.Activation, error) {
	q, err := a.complete(q)
	if err != nil {
		return q, err
	}
	if !a.activating.TryLock() {
		return q, fault.New(fault.InProgress, "This PBX is being connected already. Wait for that to end.")
	}
	defer a.activating.Unlock()
	roots, err := serverRoots("", q.CA)
	if err != nil {
		return q, err
	}
	client, idle, err := newClient(q.Server, roots)
	if err != nil {
		return q, err
	}
	defer idle()
	if err := a.dir.belongsTo(q.Serial); err != nil {
		return q, err
	}
	key, err := a.dir.keyOrNew()
	if err != nil {
		return q, err
	}
	a.pair.Look(ctx)
	r := request(q, key)
	r.HotStandby = hotStandby(a.pair.Current())
	g, err := ask(ctx, client, r, a.log)
	if err != nil {
		return q, err
	}
	i, err := Identity{Server: q.Server, CA: q.CA, Portal: q.Portal, Serial: q.Serial}.grant(g, time.Now())
	if err != nil {
		return q, err
	}
	if err := a.passes.take(ctx, i, key); err != nil {
		return q, fmt.Errorf("the provider took this PBX, but that could not be stored; connect it again: %w", err)
	}
	a.log.Info("connected to a provider", zap.String("device", string(i.Device)), zap.String("site", string(i.Site)),
		zap.String("account", Printable(i.Account)), zap.String("server", i.Server))
	return q, nil
}

func hotStandby(s *tunnel.Standby) *controlapi.HotStandby {
	if s == nil {
		return nil
	}
	return &controlapi.HotStandby{Type: s.Type, Role: s.Role, Peer: s.Peer, Claim: int64(s.Claim)}
}

func request(q manage.Activation, key ed25519.PrivateKey) controlapi.ActivationRequest {
	r := controlapi.ActivationRequest{
		Serial: q.Serial, Model: q.Model, Firmware: q.Firmware,
		PublicKey: key.Public().(ed25519.PublicKey), Proof: controlapi.ActivationProof(key, q.Serial),
	}
	if q.Method == manage.ByCode {
		r.Code = q.Code
	} else {
		r.Email, r.Password = q.Email, q.Password
	}
	return r
}

// complete is q with what the configuration knows, checked.
func (a *Agent) complete(q manage.Activation) (manage.Activation, error) {
	d := a.cfg.Device
	q.Serial = id.Serial(or(string(q.Serial), string(d.Serial)))
	q.Model, q.Firmware = or(q.Model, d.Model), or(q.Firmware, d.Firmware)
	known := a.passes.identity()
	if q.Portal == "" && a.cfg.Portal.URL == "" {
		q.Portal = a.portalURL(known)
	}
	if q.ServerType == manage.DefaultServer {
		if q.Server = a.cfg.DefaultServer; q.Server == "" {
			return q, fault.New(fault.Invalid, "There is no default server: the configuration file sets no default_server.").In("server_type")
		}
	}
	if err := q.Check(); err != nil {
		return q, err
	}
	q.Server, _ = manage.Address(q.Server) // checked
	if q.CA == "" && q.Server == known.Server {
		q.CA = known.CA
	}
	if fixed, err := manage.Address(a.cfg.Server); err == nil && fixed != q.Server {
		return q, fault.New(fault.Invalid, "The configuration file allows the server %s alone (server).", fixed).In("server")
	}
	return q, checkPortal(&q.Portal)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ask sends the same request until there is an answer.
func ask(ctx context.Context, c *controlapi.Client, q controlapi.ActivationRequest, log *zap.Logger) (controlapi.Grant, error) {
	retry := backoff{base: 500 * time.Millisecond, max: 10 * time.Second}
	var last error // says more than that time is up
	for try := 1; ; try++ {
		g, err := c.Activate(ctx, q)
		if err == nil {
			return g, nil
		}
		if ctx.Err() != nil {
			return controlapi.Grant{}, errors.Join(ctx.Err(), last)
		}
		if f := refusal(err); f != nil {
			return controlapi.Grant{}, f
		}
		err = explain(err, time.Now())
		last = unfault(err)
		if try == activateTries || isCertificate(err) {
			return controlapi.Grant{}, fmt.Errorf("activate: %w", unfault(err))
		}
		wait := hinted(retry.next(), retryHint(err))
		log.Warn("no answer from the server; asking again", zap.Int64("wait_ms", wait.Milliseconds()), zap.Error(err))
		select {
		case <-ctx.Done():
			return controlapi.Grant{}, errors.Join(ctx.Err(), last)
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

// ReadCA reads a provider's CA file; "" for "".
func ReadCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fault.New(fault.Invalid, "CA file: %v", err).In("ca")
	}
	if err := manage.CheckCA(string(b)); err != nil {
		return "", err
	}
	return string(b), nil
}

// CheckPortal tries the portal of c once, for connect to say that it works.
func CheckPortal(ctx context.Context, c Portal) error {
	p, err := newPortal(c, controlapi.LoopbackDialer())
	if err != nil {
		return err
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.origin, err)
	}
	return conn.Close()
}
