package edge

import "time"

// watch notices, while an exchange lasts, what nobody reads for: that the
// browser has gone or that the visit has ended. It costs nothing but a timer
// until an exchange has lasted Limits.Watch.
//
// The browser's going shows in a read of one byte. What comes is kept for the
// next Read; it is the beginning of a pipelined request.
type watch struct {
	timer   *time.Timer // one per connection, and not set anew for each exchange: see watchNow
	armed   bool
	on      bool
	reading bool
	has     bool
	b       [1]byte
	stop    chan struct{} // closed to end the running watchers
	running chan struct{} // one token each, given back at their end
	x       *exchange
}

// startWatch begins the watch over x, which must have its stream or wait for it.
func (c *conn) startWatch(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.watch
	w.on, w.x = true, x
	if !w.armed {
		w.arm(x.e.o.Limits.Watch, c.watchNow)
	}
}

func (w *watch) arm(d time.Duration, f func()) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(d, f)
	} else {
		w.timer.Reset(d)
	}
}

// stopWatch ends it and returns after its goroutines have.
func (c *conn) stopWatch() {
	c.mu.Lock()
	w := &c.watch
	w.on, w.x = false, nil
	stop, running, reading := w.stop, w.running, w.reading
	w.stop, w.running = nil, nil
	if reading {
		_ = c.armLocked(past)
	}
	c.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	running <- struct{}{} // both tokens: both have ended
	running <- struct{}{}
	if reading {
		_ = c.setReadDeadline(time.Time{})
	}
}

// watchNow is the timer's function. The exchange that it finds may be younger
// than the one it was set for: setting and stopping a timer for each would cost
// more than to come once in vain.
func (c *conn) watchNow() {
	c.mu.Lock()
	w := &c.watch
	w.armed = false
	if !w.on || w.stop != nil || c.closed {
		c.mu.Unlock()
		return
	}
	x := w.x
	if early := x.e.o.Limits.Watch - time.Since(x.start); early > 0 {
		w.arm(early, c.watchNow)
		c.mu.Unlock()
		return
	}
	if !c.takeOver() {
		w.arm(x.e.o.Limits.Watch/8, c.watchNow)
		c.mu.Unlock()
		return
	}
	w.stop, w.running = make(chan struct{}), make(chan struct{}, 2)
	w.running <- struct{}{}
	stop, running := w.stop, w.running
	suspect := func() {}
	if c.stage.Load() == stageAsked && !x.uploading.Load() {
		suspect = x.suspect() // long before it is given up: an agent that hangs takes requests and says nothing
	}
	if !x.uploading.Load() {
		c.watchBrowserLocked(x)
	}
	c.mu.Unlock()
	suspect()

	select {
	case <-x.guest.Ended:
		x.abort(errVisitEnded)
	case <-x.e.cut:
		x.abort(errGone)
	case <-stop:
	}
	<-running
}

// watchOn is for an upload that has read its last byte: if the watch began
// meanwhile, it left the browser's connection to it.
func (c *conn) watchOn(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := &c.watch; w.on && w.stop != nil && !w.reading && !c.closed && !c.interrupted {
		c.watchBrowserLocked(x)
	}
}

func (c *conn) watchBrowserLocked(x *exchange) {
	w := &c.watch
	if w.has {
		return
	}
	w.reading = true
	w.running <- struct{}{}
	_ = c.armLocked(time.Time{})
	go c.watchBrowser(x, w.running)
}

func (c *conn) watchBrowser(x *exchange, running <-chan struct{}) {
	defer func() { <-running }()
	n, err := c.Conn.Read(c.watch.b[:])
	c.mu.Lock()
	c.watch.reading = false
	c.watch.has = n == 1
	stopped := !c.watch.on || c.interrupted
	c.mu.Unlock()
	if err != nil && !stopped && !c.answered() {
		x.abort(errGone)
	}
}

// answered reports whether the browser has the whole answer, so that it may go.
func (c *conn) answered() bool {
	s, ok := c.Conn.(*h2Conn)
	return ok && s.answered()
}
