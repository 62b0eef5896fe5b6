package tunnel

import "sync"

// down is an event that few wait for: the channel is made for the first who does.
type down struct {
	mu sync.Mutex
	is bool
	ch chan struct{} // nil: nobody has asked
}

// done is closed when it has happened.
func (d *down) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
		if d.is {
			close(d.ch)
		}
	}
	return d.ch
}

// happen is called once.
func (d *down) happen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.is = true
	if d.ch != nil {
		close(d.ch)
	}
}
