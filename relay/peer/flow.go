package peer

import (
	"errors"
	"sync"
	"sync/atomic"

	"trunkline/internal/mux"
)

// flow passes on what comes from one stream to another, in the loop that reads the
// first: small requests and answers wake no goroutine. What may have to wait, much
// at once or a stream that takes nothing now, is left to a goroutine for as long as
// there is any of it.
type flow struct {
	from, to *mux.Stream
	ended    func(error) // why there is no more to pass on; once
	state    atomic.Int32
	rest     []byte // read, and not taken yet
}

// Who passes bytes on. All others leave the streams alone.
const (
	flowWaits int32 = iota // a goroutine
	flowRests              // nobody: there is nothing
	flowMoves              // whoever was told that there is something
	flowAgain              // the same, and it has been told again
	flowOver
)

// small is how much a loop passes on at once: as much as a stream holds for the
// next flush.
const small = 4 << 10

var smalls = sync.Pool{New: func() any { return new([small]byte) }}

// begin is called by who had the flow first.
func (f *flow) begin() {
	f.from.OnChange(f.look)
	f.state.Store(flowMoves)
	f.move()
}

// look passes on what is there, or has whoever is at it look again. It may be called
// from anywhere, and on nil.
func (f *flow) look() {
	if f == nil {
		return
	}
	for {
		switch f.state.Load() {
		case flowRests:
			if f.state.CompareAndSwap(flowRests, flowMoves) {
				f.move()
				return
			}
		case flowMoves:
			if f.state.CompareAndSwap(flowMoves, flowAgain) {
				return
			}
		default: // it is looked again anyway, or never
			return
		}
	}
}

// move passes on until there is nothing more. The flow is the caller's.
func (f *flow) move() {
	for {
		switch err := f.pass(); {
		case errors.Is(err, errWaits):
			f.state.Store(flowWaits)
			go f.wait()
			return
		case !errors.Is(err, mux.ErrWouldBlock):
			f.end(err)
			return
		case f.state.CompareAndSwap(flowMoves, flowRests):
			return
		}
		f.state.Store(flowMoves)
	}
}

func (f *flow) end(err error) {
	f.state.Store(flowOver)
	f.ended(err)
}

// errWaits is pass's where it would have to wait.
var errWaits = errors.New("peer: more than a loop passes on")

// pass hands on what is there, without waiting for anything, to be sent with what
// others have for the same connection. The error is never nil.
func (f *flow) pass() error {
	b := smalls.Get().(*[small]byte)
	defer smalls.Put(b)
	for passed := false; ; passed = true {
		n, err := 0, errWaits
		if f.from.Unread() <= small {
			n, err = f.from.TryRead(b[:])
		}
		if err == nil && !f.to.Hold(b[:n]) {
			f.rest, err = append(f.rest, b[:n]...), errWaits
		}
		if err != nil {
			if passed {
				f.from.FlushBehind(f.to)
			}
			return err
		}
	}
}

// wait passes on what a loop could not.
func (f *flow) wait() {
	if err := f.passAll(); err != nil {
		f.end(err)
		return
	}
	f.state.Store(flowMoves)
	f.move()
}

// passAll passes on until there is nothing more for the moment.
func (f *flow) passAll() error {
	if len(f.rest) > 0 {
		if _, err := f.to.Write(f.rest); err != nil {
			return err
		}
		f.rest = nil
	}
	for use := writer(f.to); f.from.Unread() > 0; {
		if _, err := f.from.Lend(lendSize, use); err != nil {
			return err
		}
	}
	return nil
}
