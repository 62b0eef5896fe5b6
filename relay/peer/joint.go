package peer

import (
	"errors"
	"io"
	"net"
	"sync/atomic"

	"trunkline/internal/fault"
	"trunkline/internal/mux"
)

// joint is a stream of the other relay and one to a device, joined.
type joint struct {
	s        *mux.Stream
	d        Device
	up, down *flow        // nil: goroutines pass the bytes on
	both     atomic.Int32 // directions that go on
	over     func()       // called when neither does
}

// first carries the device's first word. The agent's reply, which d takes off, is
// put in front of it: a refusal has its own words.
func (j *joint) first() error {
	buf := buffers.Get().(*[firstRead]byte)
	n, err := j.d.Read(buf[1:])
	if n > 0 {
		buf[0] = replyAccepted
		_, err = j.s.Write(buf[:1+n])
	}
	buffers.Put(buf)
	var f *fault.Error
	if errors.As(err, &f) && n == 0 {
		if _, err := j.s.Write(encodeRefusal(f)); err != nil {
			return err
		}
		return io.EOF
	}
	return err
}

// upEnded ends the device's stream with the other relay's, whatever ended that.
func (j *joint) upEnded(error) {
	_ = j.d.Close() // ends down, which has nothing to wait for
	j.down.look()
	j.end()
}

// downEnded passes on how the device's stream ended.
func (j *joint) downEnded(err error) {
	if errors.Is(err, io.EOF) {
		_ = j.s.CloseWrite() // what the device said last is still on its way
	} else {
		j.s.ResetWith(resetCode(err))
		j.up.look()
	}
	j.end()
}

func (j *joint) end() {
	if j.both.Add(-1) == 0 {
		j.over()
	}
}

// pass copies from one stream to the other, from the segments in which it came,
// until the end of either, which is the error.
func pass(to io.Writer, from interface {
	Lend(int, func(net.Buffers) error) (int, error)
}) error {
	use := writer(to)
	for {
		if _, err := from.Lend(lendSize, use); err != nil {
			return err
		}
	}
}

// writer writes what is lent.
func writer(to io.Writer) func(net.Buffers) error {
	return func(bs net.Buffers) error {
		for _, b := range bs {
			if _, err := to.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
}

// asFault is err as a fault for the other relay: what is none is not told.
func asFault(err error) *fault.Error {
	var f *fault.Error
	if errors.As(err, &f) {
		return f
	}
	return fault.New(fault.Internal, "Something went wrong at the relay that holds the PBX's connection.")
}
