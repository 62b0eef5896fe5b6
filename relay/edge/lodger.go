package edge

import (
	"sync"
	"time"

	"trunkline/internal/id"
)

// Lodger is a stream to a device here that another relay's browser uses. It
// counts as one of ours: limits are of all that the device has to bear.
type Lodger struct {
	e      *Edge
	device id.Device
	paced  bool // bytes are limited
	dues   dues
	over   chan struct{} // closed by Leave
	once   sync.Once
}

// Lodge counts a new stream to a device in, until its Leave. Errors are faults.
func (e *Edge) Lodge(device id.Device, account id.Account) (*Lodger, error) {
	if err := e.pool.shelf(device).enter(device); err != nil {
		return nil, err
	}
	now := e.live.Load()
	l := &Lodger{e: e, device: device, paced: now.paced, over: make(chan struct{})}
	err := l.dues.enter(now, device, account)
	if err == nil {
		err = l.dues.open()
	}
	if err != nil {
		l.Leave()
		return nil, err
	}
	return l, nil
}

// Limited says whether Pay has to be called.
func (l *Lodger) Limited() bool { return l.paced }

// Pay takes n bytes that have passed, either way, and waits until the device and
// its account are out of debt, or Leave.
func (l *Lodger) Pay(n int) {
	wait := l.dues.pay(n)
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.over:
	}
}

// Leave may be called again.
func (l *Lodger) Leave() {
	l.once.Do(func() {
		close(l.over)
		l.dues.leave()
		l.e.pool.shelf(l.device).leave(l.device)
	})
}
