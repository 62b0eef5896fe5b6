// Package logtest observes a log as an encoder does: at once. An event's field
// may be an object that its owner uses again, as the edge's exchanges are.
package logtest

import (
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// New is zaptest/observer.New, with inlined objects' fields in their place.
func New(level zapcore.LevelEnabler) (zapcore.Core, *observer.ObservedLogs) {
	c, logs := observer.New(level)
	return core{c}, logs
}

type core struct{ zapcore.Core }

func (c core) With(fields []zapcore.Field) zapcore.Core { return core{c.Core.With(spread(fields))} }

func (c core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return c.Core.Write(e, spread(fields))
}

func spread(fields []zapcore.Field) (out []zapcore.Field) {
	for _, f := range fields {
		if f.Type != zapcore.InlineMarshalerType {
			out = append(out, f)
			continue
		}
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for _, k := range slices.Sorted(maps.Keys(m.Fields)) {
			out = append(out, zap.Any(k, m.Fields[k]))
		}
	}
	return out
}
