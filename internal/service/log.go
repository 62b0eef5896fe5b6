package service

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogConfig is the `log` section of every daemon.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json, or console for people
}

// Validate names the key that is wrong.
func (c LogConfig) Validate() error {
	if _, err := zapcore.ParseLevel(c.Level); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	if c.Format != "json" && c.Format != "console" {
		return fmt.Errorf("log.format: %q is neither json nor console", c.Format)
	}
	return nil
}

// Logger writes to standard error. Its Sync must be called before the process
// ends: lines below warn wait for others, a tenth of a second at most.
func Logger(level, format string) (*zap.Logger, error) {
	log, _, err := LiveLogger(level, format)
	return log, err
}

// LiveLogger is Logger with a level that can be changed.
func LiveLogger(level, format string) (*zap.Logger, zap.AtomicLevel, error) {
	return newLogger(level, format, "stderr")
}

// FileLogger appends JSON to the file at path; else it is as Logger.
func FileLogger(level, path string) (*zap.Logger, error) {
	log, _, err := newLogger(level, "json", path)
	return log, err
}

// newLogger has no sampling: there is one event per request already, and it
// would hide the one somebody asks for.
func newLogger(level, format, output string) (*zap.Logger, zap.AtomicLevel, error) {
	if err := (LogConfig{Level: level, Format: format}).Validate(); err != nil {
		return nil, zap.AtomicLevel{}, &UsageError{Err: err}
	}
	lvl, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return nil, lvl, err
	}
	c := zap.NewProductionEncoderConfig()
	c.TimeKey = "ts"
	var enc zapcore.Encoder
	if format == "json" {
		c.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		enc = zapcore.NewJSONEncoder(c)
	} else {
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		enc = zapcore.NewConsoleEncoder(c)
	}
	out, _, err := zap.Open(output)
	if err != nil {
		return nil, lvl, err
	}
	late := &lateWriter{out: out, told: func(lost int) []byte {
		e := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "the log took nothing for a while; lines are lost"}
		line, err := enc.Clone().EncodeEntry(e, []zapcore.Field{zap.Int("lines", lost)})
		if err != nil {
			return nil
		}
		return line.Bytes()
	}}
	urgent := zap.Hooks(func(e zapcore.Entry) error { // somebody may have to act on it
		if e.Level < zapcore.WarnLevel {
			return nil
		}
		return late.flush()
	})
	return zap.New(zapcore.NewCore(enc, late, lvl), zap.ErrorOutput(out), urgent), lvl, nil
}
