package service

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogConfig is the `log` section of every daemon.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json, or console for people
}

// Logger writes to standard error. Its Sync must be called before the process
// ends: lines below warn wait for others, a tenth of a second at most.
func Logger(level, format string) (*zap.Logger, error) { return newLogger(level, format, "stderr") }

// FileLogger appends JSON to the file at path; else it is as Logger.
func FileLogger(level, path string) (*zap.Logger, error) { return newLogger(level, "json", path) }

// newLogger has no sampling: there is one event per request already, and it
// would hide the one somebody asks for.
func newLogger(level, format, output string) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, Usagef("log.level: %w", err)
	}
	c := zap.NewProductionEncoderConfig()
	c.TimeKey = "ts"
	var enc zapcore.Encoder
	switch format {
	case "json":
		c.EncodeTime = zapcore.RFC3339NanoTimeEncoder
		enc = zapcore.NewJSONEncoder(c)
	case "console":
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		enc = zapcore.NewConsoleEncoder(c)
	default:
		return nil, Usagef("log.format: %q is neither json nor console", format)
	}
	out, _, err := zap.Open(output)
	if err != nil {
		return nil, err
	}
	late := &lateWriter{out: out}
	urgent := zap.Hooks(func(e zapcore.Entry) error { // somebody may have to act on it
		if e.Level < zapcore.WarnLevel {
			return nil
		}
		return late.flush()
	})
	return zap.New(zapcore.NewCore(enc, late, lvl), zap.ErrorOutput(out), urgent), nil
}
