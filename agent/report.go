package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

const (
	maxStatusSize = 64 << 10
	statusTimeout = 3 * time.Second
)

// Report is a Status as seen from outside the agent's process.
type Report struct {
	Status
	Running bool `json:"running"` // false: Status is the last one before the agent ended
}

// ErrNeverRan means that there is neither an agent nor a trace of one.
var ErrNeverRan = errors.New("the agent is not running, and has not run with this data directory")

// ReadStatus asks the agent that runs with c, or reads what the last one left.
func ReadStatus(ctx context.Context, c Config) (Report, error) {
	if l, err := speak(ctx, c.Data); err == nil {
		if v, err := l.View(ctx); err == nil {
			return Report{Status: v.Status, Running: true}, nil
		}
	}
	stored, storedErr := readState(c.Data)
	if c.Admin != AdminOff {
		s, askErr := askStatus(ctx, c.Admin)
		// At that address may be the agent of another directory. Whoever may
		// not read the directory takes what answers.
		if ours := stored.Device == "" || s.Device == stored.Device; askErr == nil && ours {
			return Report{Status: s, Running: true}, nil
		}
	}
	switch {
	case errors.Is(storedErr, fs.ErrNotExist):
		return Report{}, ErrNeverRan
	case storedErr != nil:
		return Report{}, storedErr
	}
	return Report{Status: stored, Running: inUse(c.Data)}, nil
}

func readState(data string) (Status, error) {
	path := filepath.Join(data, stateFile)
	b, err := readPrivate(path, maxStatusSize)
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(b, &s); err != nil || s.State == "" {
		return Status{}, fmt.Errorf("%s: damaged; the agent writes it anew when it runs", path)
	}
	return s, nil
}

func askStatus(ctx context.Context, addr string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Status{}, err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/status", http.NoBody)
	if err != nil {
		return Status{}, err
	}
	t := &http.Transport{DisableKeepAlives: true} // and no proxy: this is loopback
	resp, err := t.RoundTrip(req)
	if err != nil {
		return Status{}, err
	}
	defer resp.Body.Close()
	var s Status
	err = json.NewDecoder(io.LimitReader(resp.Body, maxStatusSize)).Decode(&s)
	if err != nil || resp.StatusCode != http.StatusOK || s.State == "" || s.Version == "" {
		return Status{}, errors.New("what answers there is no agent")
	}
	return s, nil
}
