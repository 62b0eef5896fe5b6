package cluster

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// front is the load balancer before the controls: TCP, to one that says that it
// is ready, as `option httpchk /readyz` makes haproxy do.
type front struct {
	ln      net.Listener
	members func() []backend

	mu    sync.Mutex
	ready []string // host:port
}

// backend is a control node as the balancer sees it.
type backend struct {
	addr  string
	ready func(context.Context) error
}

const (
	checkEvery   = 500 * time.Millisecond
	dialPatience = time.Second
)

func newFront(addr string, members func() []backend) (*front, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &front{ln: ln, members: members}, nil
}

// run balances until ctx ends.
func (f *front) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { f.ln.Close() })()
	wg.Go(func() { f.check(ctx) })
	for {
		c, err := f.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		wg.Go(func() { f.carry(ctx, c) })
	}
}

func (f *front) check(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		var ready []string
		for _, b := range f.members() {
			once, cancel := context.WithTimeout(ctx, dialPatience)
			if b.ready(once) == nil {
				ready = append(ready, b.addr)
			}
			cancel()
		}
		f.mu.Lock()
		f.ready = ready
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// carry takes one connection to a node, and to the next where that one does not
// answer.
func (f *front) carry(ctx context.Context, c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	ready := append([]string(nil), f.ready...)
	f.mu.Unlock()
	rand.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	d := net.Dialer{Timeout: dialPatience}
	for _, addr := range ready {
		to, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		defer to.Close()
		defer context.AfterFunc(ctx, func() { c.Close(); to.Close() })()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(to, c) // whoever ends first ends both
			to.Close()
		}()
		_, _ = io.Copy(c, to)
		c.Close()
		<-done
		return
	}
}
