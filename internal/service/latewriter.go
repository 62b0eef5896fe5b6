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
// While nothing is logged it has neither timer nor buffer.
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

// urgentCore writes at once what somebody may have to act on.
type urgentCore struct {
	zapcore.Core
	late *lateWriter
}

func (c urgentCore) With(fields []zapcore.Field) zapcore.Core {
	return urgentCore{c.Core.With(fields), c.late}
}

func (c urgentCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c urgentCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	err := c.Core.Write(e, fields)
	if e.Level >= zapcore.WarnLevel {
		if flushErr := c.late.flush(); err == nil {
			err = flushErr
		}
	}
	return err
}
