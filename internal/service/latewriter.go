package service

import (
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

const (
	// lateFor is how long a line may wait for others to be written with it: a
	// system call per request was a twentieth of what the relay costs.
	lateFor  = 100 * time.Millisecond
	lateSize = 64 << 10
	// lateMax is how much may wait for a log that takes nothing: a reader that
	// hangs, a disk that does. Event loops log, and tunnels end when those stand
	// still; so beyond that lines are lost, and counted.
	lateMax = 4 << 20
)

// lateWriter gathers lines for lateFor, or until there are lateSize bytes. Its
// Write waits for nothing.
//
// zap's own BufferedWriteSyncer keeps the first error of a write: after a full
// disk it would say nothing ever again. This one loses what could not be
// written and goes on; and while nothing is logged no timer runs.
type lateWriter struct {
	out  zapcore.WriteSyncer
	told func(lost int) []byte // the line that says so

	turn sync.Mutex // of who writes to out; before mu

	mu      sync.Mutex // guards what follows; not held over a write
	buf     []byte
	spare   []byte // the buffer before
	lost    int    // lines
	pushing bool   // somebody is about to flush
	timer   *time.Timer
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf)+len(p) > lateMax {
		w.lost++
		return len(p), nil
	}
	if len(w.buf) == 0 {
		if w.timer == nil {
			w.timer = time.AfterFunc(lateFor, func() { _ = w.flush() }) // nowhere to say that the log can't be written
		} else {
			w.timer.Reset(lateFor)
		}
	}
	w.buf = append(w.buf, p...)
	if len(w.buf) >= lateSize && !w.pushing {
		w.pushing = true
		go func() { _ = w.flush() }()
	}
	return len(p), nil
}

// Sync writes what waits.
func (w *lateWriter) Sync() error {
	err := w.flush()
	if syncErr := w.out.Sync(); err == nil {
		err = syncErr
	}
	return err
}

func (w *lateWriter) flush() error {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	b, lost := w.buf, w.lost
	w.buf, w.spare, w.lost, w.pushing = w.spare, nil, 0, false
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	if lost > 0 {
		b = append(b, w.told(lost)...)
	}
	var err error
	if len(b) > 0 {
		_, err = w.out.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(b) <= 2*lateSize {
		w.spare = b[:0]
	}
	return err
}
