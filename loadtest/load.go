package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"trunkline/internal/visitor"
)

// Results of a request that has no status to name.
const (
	resultOK      = "ok"
	resultTimeout = "timeout"
	resultNetwork = "connection" // refused, reset, cut
	resultShort   = "wrong_size" // 200, but not all of the portal's answer
	resultUnsent  = "unsent"     // MaxInFlight were waiting when it was due
)

// run is the load while it goes on.
type run struct {
	t        *Test
	visitors visitors
	slots    chan struct{}
	wg       sync.WaitGroup
	latency  histogram // of successful requests
	bytes    atomic.Int64

	mu      sync.Mutex
	results map[string]int64
}

// load sends requests until the duration is over or ctx ends, waits for the
// answers, and tells what came.
func (t *Test) load(ctx context.Context, vs visitors) Result {
	r := &run{t: t, visitors: vs, slots: make(chan struct{}, t.o.MaxInFlight), results: make(map[string]int64)}
	began := time.Now()
	done := make(chan struct{})
	var progress sync.WaitGroup
	progress.Go(func() { r.progress(began, done) })
	sent := r.send(ctx, began)
	sending := time.Since(began)
	r.wg.Wait()
	close(done)
	progress.Wait()
	return r.result(sent, sending)
}

// send starts each request when it is due, and those that are overdue at once,
// until the duration is over or ctx ends. Requests under way then get their
// answers.
func (r *run) send(ctx context.Context, began time.Time) (due int64) {
	interval := float64(time.Second) / r.t.o.Rate
	total := int64(math.Ceil(r.t.o.Duration.Seconds() * r.t.o.Rate))
	for ; due < total; due++ {
		at := began.Add(time.Duration(float64(due) * interval))
		if !until(ctx, at) {
			return due
		}
		select {
		case r.slots <- struct{}{}:
			v := r.visitors[due%int64(len(r.visitors))]
			r.wg.Go(func() {
				r.count(r.request(context.WithoutCancel(ctx), v, at))
				<-r.slots
			})
		default:
			r.count(resultUnsent)
		}
	}
	until(ctx, began.Add(r.t.o.Duration))
	return due
}

// until waits for a time. It is false if ctx ended.
func until(ctx context.Context, at time.Time) bool {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *run) request(ctx context.Context, v *visitor.Visitor, due time.Time) (result string) {
	r.t.metrics.inFlight.Inc()
	defer r.t.metrics.inFlight.Dec()
	ctx, cancel := context.WithTimeout(ctx, r.t.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.Origin+r.t.o.Path, nil)
	if err != nil {
		return resultNetwork
	}
	resp, err := v.Do(req)
	if err != nil {
		return why(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	r.bytes.Add(n)
	switch {
	case err != nil:
		return why(err)
	case resp.StatusCode != http.StatusOK:
		return "status_" + strconv.Itoa(resp.StatusCode)
	case n != int64(r.t.o.Size):
		return resultShort
	}
	took := time.Since(due)
	r.latency.record(took)
	r.t.metrics.seconds.Observe(took.Seconds())
	return resultOK
}

func why(err error) string {
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return resultTimeout
	}
	return resultNetwork
}

func (r *run) count(result string) {
	r.t.metrics.requests.WithLabelValues(result).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results[result]++
}

func (r *run) counts() (ok, failed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for result, n := range r.results {
		if result == resultOK {
			ok += n
		} else {
			failed += n
		}
	}
	return ok, failed
}

// progress prints a line each second.
func (r *run) progress(began time.Time, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before int64
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		ok, failed := r.counts()
		fmt.Fprintf(r.t.out, "%5.0fs  %7d answers/s  %d ok  %d errors  %d in flight  p99 so far %v\n",
			time.Since(began).Seconds(), ok+failed-before, ok, failed, len(r.slots), round(r.latency.quantile(0.99)))
		before = ok + failed
	}
}
