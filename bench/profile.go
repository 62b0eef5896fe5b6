package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

const (
	profileTop  = 10
	profileMost = 64 << 20 // of a profile, in bytes
)

// profileRelay looks at the relay closely while it is loaded, once for every
// figure and after all rounds: looking costs, so none of it is a figure.
func profileRelay(ctx context.Context, w *world, r *report, figures []*figure, relay proxy) error {
	if err := os.MkdirAll(w.o.outDir, 0o755); err != nil {
		return err
	}
	for _, f := range figures {
		if !f.fits(relay) {
			continue
		}
		w.o.say("looking at %s", f.name)
		look, err := w.look(ctx, r, f, relay)
		if err != nil {
			return fmt.Errorf("profile of %s: %w", f.name, err)
		}
		r.looks = append(r.looks, look)
	}
	return nil
}

// look is what was seen of the relay under one figure's load.
type look struct {
	title, per string
	counts     counts // for each unit of work
	goroutines float64
	calls      []call // by strace; nil if there is none
	noCalls    error
	top        []share
	total      time.Duration // of the profile
	file       string
}

func (w *world) look(ctx context.Context, r *report, f *figure, relay proxy) (l look, err error) {
	l.title, l.per = strings.TrimPrefix(f.title, "CPU per "), f.per()
	before, err := w.relayCounts(ctx, relay.child)
	if err != nil {
		return l, err
	}
	s, err := f.measure(ctx, w, relay, false)
	if err != nil {
		return l, err
	}
	after, err := w.relayCounts(ctx, relay.child)
	if err != nil {
		return l, err
	}
	l.counts, l.goroutines = after.less(before).by(f.work(w.o, s)), after.goroutines
	if l.calls, l.noCalls = w.trace(ctx, f, relay); ctx.Err() != nil {
		return l, context.Cause(ctx)
	}
	l.file = filepath.Join(w.o.outDir, r.base()+"-"+fileName(f.name)+".pprof")
	p, err := w.profile(ctx, l.file, func() error {
		_, err := f.measure(ctx, w, relay, false)
		return err
	})
	if err != nil {
		return l, err
	}
	top, total := topGroups(p, profileTop)
	l.top, l.total = top, time.Duration(total)
	return l, nil
}

// profile takes a CPU profile while load is repeated.
func (w *world) profile(ctx context.Context, file string, load func() error) (*profile.Profile, error) {
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := adminRead(ctx, w.first.admin, fmt.Sprintf("/debug/pprof/profile?seconds=%d", w.o.seconds))
		done <- answer{b, err}
	}()
	for {
		if err := load(); err != nil {
			return nil, err
		}
		select {
		case a := <-done:
			if a.err != nil {
				return nil, a.err
			}
			if err := os.WriteFile(file, a.b, 0o644); err != nil {
				return nil, err
			}
			return profile.ParseData(a.b)
		default:
		}
	}
}

func adminRead(ctx context.Context, admin, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, profileMost))
}

// fileName makes a file's name of a figure's.
func fileName(figure string) string {
	return strings.NewReplacer("/", "_", "=", "-").Replace(figure)
}

// print shows a look to people.
func (l look) print(out io.Writer) {
	fmt.Fprintf(out, "\nThe relay under %s; for each %s:\n", l.title, l.per)
	fmt.Fprintf(out, "  %.2f allocations, %.2f read and %.2f write calls; %.0f goroutines afterwards\n",
		l.counts.mallocs, l.counts.reads, l.counts.writes, l.goroutines)
	if l.noCalls != nil {
		fmt.Fprintf(out, "  system calls: not measured: %v\n", l.noCalls)
	} else {
		var parts []string
		for _, c := range l.calls {
			parts = append(parts, fmt.Sprintf("%.2f %s", c.n, c.name))
		}
		fmt.Fprintf(out, "  system calls, slowed by strace: %s\n", strings.Join(parts, ", "))
	}
	fmt.Fprintf(out, "  of %v of CPU (%s):\n", l.total.Round(time.Millisecond), l.file)
	for _, s := range l.top {
		fmt.Fprintf(out, "  %5.1f%%  %s\n", 100*s.of, s.group)
	}
}
