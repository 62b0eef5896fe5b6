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

// Logger writes to standard error.
func Logger(level, format string) (*zap.Logger, error) { return newLogger(level, format, "stderr") }

// FileLogger appends JSON to the file at path.
func FileLogger(level, path string) (*zap.Logger, error) { return newLogger(level, "json", path) }

func newLogger(level, format, output string) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, Usagef("log.level: %w", err)
	}
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(lvl)
	c.Sampling = nil // one event per request already; sampling would hide the one somebody asks for
	c.DisableStacktrace = true
	c.DisableCaller = true
	c.OutputPaths = []string{output}
	c.EncoderConfig.TimeKey = "ts"
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	switch format {
	case "json":
	case "console":
		c.Encoding = "console"
		c.EncoderConfig.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncoderConfig.EncodeLevel = zapcore.CapitalLevelEncoder
	default:
		return nil, Usagef("log.format: %q is neither json nor console", format)
	}
	return c.Build()
}
