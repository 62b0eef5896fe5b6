package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline/control/store"
)

// socketFile is where a control that runs is reached by commands on its
// machine: who may open it may also read the database.
const socketFile = "control.sock"

// desk takes commands for the control that runs.
type desk struct {
	c     *Control
	ln    net.Listener
	srv   *http.Server
	busy  sync.Mutex
	swaps chan swap
}

// swap asks for the database part, prepared beside the one in use, to take its
// place.
type swap struct {
	part string
	at   time.Time
	done chan swapped // capacity 1
}

type swapped struct {
	aside string
	err   error
}

// Said is a line of a command's answer, in JSON. The last one has Done or
// Error.
type Said struct {
	Step  string `json:"step,omitempty"`
	Aside string `json:"aside,omitempty"` // the file that has what was there
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

func newDesk(c *Control) (*desk, error) {
	d := &desk{c: c, swaps: make(chan swap)}
	path := filepath.Join(c.o.Data, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed: the lock is ours
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		// A path may be too long for a socket. All else works.
		c.log.Warn("commands on this machine cannot reach this control", zap.String("socket", path), zap.Error(err))
		return nil, nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	d.ln = ln
	mux := http.NewServeMux()
	mux.HandleFunc("POST /restore", d.restore)
	d.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: zap.NewStdLog(c.log.Named("desk"))}
	return d, nil
}

func (c *Control) swaps() <-chan swap {
	if c.desk == nil {
		return nil
	}
	return c.desk.swaps
}

func (d *desk) close() error { return d.ln.Close() }

func (d *desk) run(ctx context.Context) error {
	d.srv.BaseContext = func(net.Listener) context.Context { return ctx }
	defer context.AfterFunc(ctx, func() { _ = d.srv.Close() })()
	if err := d.srv.Serve(d.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve commands: %w", err)
	}
	return nil
}

func (d *desk) restore(w http.ResponseWriter, r *http.Request) {
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	_ = flush.EnableFullDuplex() // progress is told while the backup comes in
	say := func(s Said) {
		_ = out.Encode(s) // who asked may be gone: what was begun ends all the same
		_ = flush.Flush()
	}
	if !d.busy.TryLock() {
		say(Said{Error: "a backup is being restored already"})
		return
	}
	defer d.busy.Unlock()
	aside, err := d.replace(r.Context(), r.Body, func(step string) { say(Said{Step: step}) })
	if err != nil {
		say(Said{Error: err.Error(), Aside: aside})
		return
	}
	say(Said{Done: true, Aside: aside})
}

func (d *desk) replace(ctx context.Context, backup io.Reader, said func(string)) (aside string, err error) {
	now := time.Now()
	part, err := store.Prepare(ctx, backup, filepath.Join(d.c.o.Data, store.FileName), now, said)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(part) }() // after a success it is gone
	said("putting it into place; the console waits")
	s := swap{part, now, make(chan swapped, 1)}
	select {
	case d.swaps <- s:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	done := <-s.done
	return done.aside, done.err
}

// Restore has the control that runs on the data directory restore the backup.
// ErrNobody means that none answers.
func Restore(ctx context.Context, data string, backup io.Reader, said func(string)) (aside string, err error) {
	socket := filepath.Join(data, socketFile)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNobody, err)
		}
		return c, nil
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control/restore", backup)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	for in := json.NewDecoder(resp.Body); ; {
		var s Said
		switch err := in.Decode(&s); {
		case err != nil:
			return "", fmt.Errorf("control's answer broke off; see its log: %w", err)
		case s.Error != "":
			return s.Aside, errors.New(s.Error)
		case s.Done:
			return s.Aside, nil
		}
		said(s.Step)
	}
}

// ErrNobody means that no control answers.
var ErrNobody = errors.New("no control runs there")
