package trace

import (
	"context"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// gate is before the library's queue, which drops without a word: it lets in no
// more than fit.
type gate struct {
	sdk.SpanProcessor
	metrics *metrics
	within  *atomic.Int64 // spans that wait, or are with the collector
}

func (g gate) OnEnd(s sdk.ReadOnlySpan) {
	if g.within.Add(1) > queueMax {
		g.within.Add(-1)
		g.metrics.dropped.Inc()
		return
	}
	g.SpanProcessor.OnEnd(s)
}

// exit is behind the queue, and counts what comes out.
type exit struct {
	sdk.SpanExporter
	metrics *metrics
	within  *atomic.Int64
	log     *zap.Logger
	said    time.Time // when the log was last told; the exporting goroutine's alone
}

const sayEvery = time.Minute

// ExportSpans never errs: the library would write that to standard error.
func (e *exit) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.within.Add(-int64(len(spans)))
	if err == nil {
		e.metrics.exported.Add(float64(len(spans)))
		return nil
	}
	e.metrics.failed.Add(float64(len(spans)))
	if now := time.Now(); now.Sub(e.said) >= sayEvery {
		e.said = now
		e.log.Warn("the collector did not take spans", zap.Int("spans", len(spans)), zap.Error(err))
	}
	return nil
}
