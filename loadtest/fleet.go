package loadtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
	"trunkline/internal/visitor"
)

// The PBX that every device pretends to be.
const (
	model    = "P-Series Software Edition"
	firmware = "83.19.0.110"
)

// atOnce bounds what is set up at the same time. Control hashes a password for
// each activation and throttles whoever asks too often.
const atOnce = 4

// fleet is the simulated PBXs.
type fleet struct {
	t      *Test
	tag    string // what the serial numbers of this run begin with
	portal string
	pbxs   []*pbx
	wg     sync.WaitGroup // of the agents
}

type pbx struct {
	at     int
	serial id.Serial
	device id.Device
	dir    string
}

func newFleet(t *Test, dir, portal string) *fleet {
	// Of its own, so that a run never touches a device that was there before.
	f := &fleet{t: t, tag: "LOADTEST-" + rand.Text()[:6] + "-", portal: portal}
	for i := range t.o.Devices {
		f.pbxs = append(f.pbxs, &pbx{at: i, serial: id.Serial(fmt.Sprintf("%s%05d", f.tag, i+1)), dir: filepath.Join(dir, strconv.Itoa(i))})
	}
	return f
}

// each does one step for every PBX and stops at the first error.
func (f *fleet) each(ctx context.Context, what string, do func(context.Context, *pbx) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, p := range f.pbxs {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, setupTime)
			defer cancel()
			if err := do(ctx, p); err != nil {
				return fmt.Errorf("%s %s: %w", what, p.serial, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (f *fleet) activate(ctx context.Context) error {
	o := f.t.o
	return f.each(ctx, "activate", func(ctx context.Context, p *pbx) error {
		i, err := agent.Activate(ctx, agent.Activation{
			Data: p.dir, Server: o.Server, CAFile: o.CAFile, Email: o.Email, Password: o.Password,
			Serial: p.serial, Model: model, Firmware: firmware, Portal: f.portal,
		}, f.t.log)
		p.device = i.Device
		return err
	})
}

// connect starts the agents, which end with life, and waits for their tunnels.
func (f *fleet) connect(ctx, life context.Context) error {
	return f.each(ctx, "connect", func(ctx context.Context, p *pbx) error {
		cfg := agent.Default()
		cfg.Data, cfg.Admin = p.dir, agent.AdminOff
		a, err := agent.New(cfg, f.t.log, prometheus.NewRegistry())
		if err != nil {
			return err
		}
		f.wg.Go(func() {
			if err := a.Run(life); err != nil {
				f.t.log.Warn("agent ended", zap.Error(err))
			}
		})
		// Control hears of a tunnel a moment after the agent does.
		return poll(ctx, func() error {
			if err := a.Ready(); err != nil {
				return err
			}
			d, err := f.t.api.Device(ctx, p.device)
			if err == nil && d.Status != controlapi.StatusConnected {
				err = fmt.Errorf("control has it as %s", d.Status)
			}
			return err
		})
	})
}

// visit opens a visit to each PBX, and sends one request that does not count.
func (f *fleet) visit(ctx context.Context) (visitors, error) {
	out := make(visitors, len(f.pbxs))
	err := f.each(ctx, "visit", func(ctx context.Context, p *pbx) error {
		v, err := f.enter(ctx, p)
		if err != nil {
			return err
		}
		out[p.at] = v
		_, err = v.Fetch(ctx, f.t.o.Path)
		return err
	})
	if err != nil {
		out.close()
	}
	return out, err
}

func (f *fleet) enter(ctx context.Context, p *pbx) (*visitor.Visitor, error) {
	start, err := f.t.api.StartVisit(ctx, controlapi.VisitRequest{Device: p.device})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(start.URL)
	if err != nil {
		return nil, err
	}
	v, err := visitor.New(f.t.tls.Clone(), u.Scheme+"://"+u.Host)
	if err != nil {
		return nil, err
	}
	v.Transport.(*http.Transport).MaxIdleConnsPerHost = f.t.o.MaxInFlight
	resp, err := v.Redeem(ctx, f.t.o.Server, start.URL, start.Handover)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("the relay does not take the handover: %s", resp.Status)
	}
	return v, nil
}

// clear waits for the agents and takes the devices out of the account, so that
// they hold no connection of its licence. It asks control which there are: the
// answer to an activation may have been lost.
func (f *fleet) clear(ctx context.Context) error {
	f.wg.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	for {
		page, err := f.t.api.Devices(ctx, controlapi.DeviceQuery{DeviceFilter: controlapi.DeviceFilter{Search: f.tag}})
		if err != nil {
			return fmt.Errorf("devices that begin with %s are still there: %w", f.tag, err)
		}
		if len(page.Items) == 0 {
			return nil
		}
		for _, d := range page.Items {
			if err := f.t.api.RemoveDevice(ctx, d.ID); err != nil {
				return fmt.Errorf("devices that begin with %s are still there: %w", f.tag, err)
			}
		}
	}
}

type visitors []*visitor.Visitor

func (vs visitors) close() {
	for _, v := range vs {
		if v != nil {
			v.CloseIdleConnections()
		}
	}
}

// poll asks until ok is nil or ctx ends.
func poll(ctx context.Context, ok func() error) error {
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
