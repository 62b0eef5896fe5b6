// Package manager tells the service manager how a daemon is, by systemd's
// protocol (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names.
// Without one it does nothing.
package manager

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Daemon is what the manager is told of, and what it may ask for.
type Daemon struct {
	// Ready says why the daemon cannot do its job now; nil: it can. That is
	// shown and no more: a restart would not bring back a bus that is away.
	Ready func() error
	// Alive says that the daemon hangs, which a restart does mend. It must look
	// at what serves, and give up when its context ends.
	Alive func(context.Context) error
	// Reload reads the configuration again, at SIGHUP; it logs for itself.
	Reload func()
	Log    *zap.Logger
}

// statusEvery is how soon a change of Ready is shown.
const statusEvery = 5 * time.Second

// Attend speaks for a daemon that listens by now, until life ends. ctx ends
// when it is asked to stop: from then on it is stopping, and still watched.
func (d Daemon) Attend(ctx, life context.Context) error {
	n, err := open()
	if err != nil {
		return err
	}
	defer n.close()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	status := time.NewTicker(statusEvery)
	defer status.Stop()
	watchdog, every := n.watchdog()
	defer watchdog.Stop()

	n.send("READY=1", d.status())
	stopping := ctx.Done()
	for {
		select {
		case <-life.Done():
			return nil
		case <-stopping:
			stopping = nil
			n.send("STOPPING=1", "STATUS=stopping: what runs goes on to its end")
		case <-hup:
			n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10), "STATUS=reading the configuration")
			d.Reload()
			n.send("READY=1", d.status())
		case <-status.C:
			if stopping != nil {
				n.send(d.status())
			}
		case <-watchdog.C:
			d.pet(life, n, every)
		}
	}
}

func (d Daemon) status() string {
	if err := d.Ready(); err != nil {
		return "STATUS=not ready: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "STATUS=ready"
}

// pet tells the watchdog that all is well, if it is. Else the manager, not
// told for long enough, ends the process and keeps its stacks (SIGABRT).
func (d Daemon) pet(ctx context.Context, n *notifier, within time.Duration) {
	actx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := d.Alive(actx); err != nil {
		if ctx.Err() == nil {
			d.Log.Error("this process hangs; the service manager is not told that it is well", zap.Error(err))
		}
		return
	}
	n.send("WATCHDOG=1")
}

// notifier is the manager's socket; nil: there is no manager.
type notifier struct {
	conn *net.UnixConn
	last string
}

func open() (*notifier, error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %q is neither a path nor an abstract socket", path)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return &notifier{conn: c}, nil
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close() // nothing is lost with it
	}
}

// send tells the manager, unless it was told the same last, which does not
// hold for the watchdog. A manager that does not listen is no reason to stop.
func (n *notifier) send(lines ...string) {
	if n == nil {
		return
	}
	said := strings.Join(lines, "\n")
	if said == n.last && said != "WATCHDOG=1" {
		return
	}
	if said != "WATCHDOG=1" {
		n.last = said
	}
	_ = n.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = n.conn.Write([]byte(said))
}

// watchdog ticks twice in the time after which the manager gives us up
// (sd_watchdog_enabled(3)); never, if it does not watch.
func (n *notifier) watchdog() (*time.Ticker, time.Duration) {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if n == nil || err != nil || usec <= 1 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		t := time.NewTicker(time.Hour)
		t.Stop()
		return t, 0
	}
	every := time.Duration(usec) * time.Microsecond / 2
	return time.NewTicker(every), every
}
