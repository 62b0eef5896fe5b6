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
)

// lateWriter gathers lines for lateFor, or until there are lateSize bytes.
//
// zap's own BufferedWriteSyncer keeps the first error of a write: after a full
// disk it would say nothing ever again. This one loses what could not be
// written and goes on; and while nothing is logged no timer runs.
type lateWriter struct {
	out zapcore.WriteSyncer

	mu    sync.Mutex // guards what follows, and makes writes to out one after the other
	buf   []byte
	timer *time.Timer
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) == 0 {
		if w.timer == nil {
			w.timer = time.AfterFunc(lateFor, func() { _ = w.flush() }) // nowhere to say that the log can't be written
		} else {
			w.timer.Reset(lateFor)
		}
	}
	w.buf = append(w.buf, p...)
	if len(w.buf) >= lateSize {
		return len(p), w.flushLocked()
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
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

func (w *lateWriter) flushLocked() error {
	b := w.buf
	if len(b) == 0 {
		return nil
	}
	w.timer.Stop()
	w.buf = b[:0]
	if cap(b) > 2*lateSize {
		w.buf = nil
	}
	_, err := w.out.Write(b)
	return err
}
