package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"trunkline/agent/local"
	"trunkline/agent/manage"
	"trunkline/agent/page"
	"trunkline/internal/ownfile"
)

// Service is the whole program: the agent, its page, and the line by which the
// command line speaks to it.
type Service struct {
	*Agent
	local *local.Server
}

// busyTime is how long a command that changes the directory may stand in the
// way of an agent that starts.
const busyTime = time.Second

// NewService is New with the listeners, which are bound.
func NewService(c Config, log *zap.Logger, reg prometheus.Registerer) (*Service, error) {
	a, err := New(c, log, reg)
	for began := time.Now(); errors.Is(err, ErrBusy) && time.Since(began) < busyTime; a, err = New(c, log, reg) {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	s := &Service{Agent: a}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) listen() (err error) {
	if s.cfg.Page.Listen != PageOff {
		p := page.Password{Load: s.dir.pagePassword, Store: s.dir.savePagePassword}
		if s.page, err = page.New(s.cfg.Page, s.Agent, p, s.log.Named("page")); err != nil {
			return err
		}
	}
	if s.local, err = local.Listen(s.Agent, s.log.Named("line")); err != nil {
		return err
	}
	return s.dir.writeJSON(lineFile, s.local.Line())
}

// PageURL is where a browser on this machine finds the page; "" if there is none.
func (s *Service) PageURL() string {
	if s.page == nil {
		return ""
	}
	return s.page.URL()
}

// Close gives up what New took, of a Service that never ran.
func (s *Service) Close() error {
	var errs []error
	if s.page != nil {
		errs = append(errs, s.page.Close())
	}
	if s.local != nil {
		errs = append(errs, s.local.Close(), s.dir.remove(lineFile))
	}
	return errors.Join(append(errs, s.Agent.Close())...)
}

// Run serves until ctx ends or a part of it fails.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.page != nil {
		g.Go(func() error { return s.page.Run(ctx) })
	}
	g.Go(func() error { return s.local.Run(ctx) })
	g.Go(func() error { return s.run(ctx) })
	err := g.Wait()
	// Last of all: whoever finds the directory free finds no line in it.
	return errors.Join(err, s.dir.remove(lineFile), s.dir.Close())
}

// ErrNoAnswer means that an agent runs on the directory and cannot be spoken to.
var ErrNoAnswer = errors.New("an agent runs on this directory and does not answer; stop it, or try again")

// startTime is how long an agent that has just started may take to say where
// it can be spoken to.
const startTime = 2 * time.Second

// Open is the desk of the agent that runs on c's directory, or of the
// directory itself if none does. Close gives it up.
func Open(ctx context.Context, c Config, log *zap.Logger) (desk manage.Desk, running bool, closeDesk func() error, err error) {
	for began := time.Now(); ; {
		a, err := New(c, log, prometheus.NewRegistry())
		if !errors.Is(err, ErrBusy) {
			if err != nil {
				return nil, false, nil, err
			}
			// What an agent that was killed left behind leads nowhere.
			return a, false, a.Close, a.dir.remove(lineFile)
		}
		client, err := speak(ctx, c.Data)
		if err == nil {
			return client, true, func() error { return nil }, nil
		}
		if !errors.Is(err, local.ErrNobody) && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil, err
		}
		if time.Since(began) > startTime || ctx.Err() != nil {
			return nil, false, nil, ErrNoAnswer
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func speak(ctx context.Context, data string) (*local.Client, error) {
	path := filepath.Join(data, lineFile)
	b, err := readPrivate(path, maxStatusSize)
	if err != nil {
		return nil, err
	}
	var l local.Line
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, local.ErrNobody
	}
	return local.Dial(ctx, l)
}

// pagePassword is the hash of the page's password, "" if there is none.
func (d *dir) pagePassword() (string, error) {
	b, err := readPrivate(d.file(pageFile), maxStatusSize)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var p pagePassword
	if err := json.Unmarshal(b, &p); err != nil || !manage.ValidHash(p.Hash) {
		return "", fmt.Errorf("%s: damaged; run `trunkline-agent page reset-password`", d.file(pageFile))
	}
	return p.Hash, nil
}

type pagePassword struct {
	Hash string `json:"hash"`
}

func (d *dir) savePagePassword(hash string) error { return d.writeJSON(pageFile, pagePassword{hash}) }

// remove takes a file away for good; that it is not there is no error.
func (d *dir) remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return ownfile.SyncDir(d.path)
}

// ResetPage forgets the page's password: the next visitor sets one.
func (a *Agent) ResetPage(context.Context) error {
	if err := a.dir.remove(pageFile); err != nil {
		return told(err)
	}
	if a.page != nil {
		a.page.Forget()
	}
	a.log.Info("page's password reset")
	return nil
}
