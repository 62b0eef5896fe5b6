// Package trace makes spans of what happens to a visit, and sends them to an
// OpenTelemetry collector. It is the one place that knows OpenTelemetry.
//
// Control decides for each visit whether it is traced, and says so by a span's
// context in the visit (W3C Trace Context, section 3.2: traceparent), which
// goes wherever the visit does: into the handover, the sealed cookie, the
// header of a stream between relays. Nobody else's word counts, so a browser
// cannot have itself traced, nor join somebody's trace.
//
// A nil *Tracer is off and a nil *Span is of what is not traced; the methods of
// both do nothing and allocate nothing.
//
// Whoever makes spans never waits for the collector: what it does not take in
// time is dropped, and counted.
package trace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

const (
	queueMax   = 4096            // spans that wait for the collector, or are with it
	batchMax   = 512             // spans in one request to it
	batchAfter = 2 * time.Second // or what there is by then
	exportTime = 5 * time.Second // that it has to take them
	flushTime  = 2 * exportTime  // for all, at the end
)

// Options are what a Config cannot say.
type Options struct {
	Config
	Plane      string // control or relay: of service.name and of the metric
	Node       string // service.instance.id; "" if there is none
	Version    string
	Log        *zap.Logger
	Registerer prometheus.Registerer // nil: none
}

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	sample   float64
}

// New gives nil if o says that traces are off; the metric is there all the same.
// What it gives is to be closed.
func New(o Options) (*Tracer, error) {
	m, err := newMetrics(o.Plane, o.Registerer)
	if err != nil || o.Endpoint == "" {
		return nil, err
	}
	headers, err := o.headers()
	if err != nil {
		return nil, err
	}
	// Nothing is tried twice: by then there are newer spans.
	to, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(o.Endpoint), otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithTimeout(exportTime), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	if err != nil {
		return nil, fmt.Errorf("collector: %w", err)
	}
	what := []attribute.KeyValue{
		attribute.String("service.namespace", "trunkline"), attribute.String("service.name", "trunkline-"+o.Plane), attribute.String("service.version", o.Version),
	}
	if o.Node != "" {
		what = append(what, attribute.String("service.instance.id", o.Node))
	}
	within := new(atomic.Int64)
	queue := sdk.NewBatchSpanProcessor(&exit{SpanExporter: to, metrics: m, within: within, log: o.Log},
		sdk.WithMaxQueueSize(queueMax), sdk.WithMaxExportBatchSize(batchMax), sdk.WithBatchTimeout(batchAfter), sdk.WithExportTimeout(exportTime))
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(gate{queue, m, within}), sdk.WithSampler(sdk.AlwaysSample()), sdk.WithResource(resource.NewSchemaless(what...)))
	return &Tracer{provider: p, tracer: p.Tracer("trunkline/" + o.Plane), sample: o.Sample}, nil
}

// Close sends what there is, and waits for it for a few seconds at most.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what was not sent is in the metric
}

// Begin starts a trace, or gives nil if this one is not among the sampled.
func (t *Tracer) Begin(name string, k Kind) *Span {
	if t == nil || rand.Float64() >= t.sample {
		return nil
	}
	return t.start(context.Background(), name, k, time.Now())
}

// Sampled continues the trace of parent, a traceparent, with one of those that
// are sampled of its spans; nil if this one is not, or if parent is none.
func (t *Tracer) Sampled(parent, name string, k Kind, at time.Time) *Span {
	if t == nil || parent == "" || rand.Float64() >= t.sample {
		return nil
	}
	return t.Continue(parent, name, k, at)
}

// Continue continues the trace of parent, a traceparent; nil if that is none.
func (t *Tracer) Continue(parent, name string, k Kind, at time.Time) *Span {
	if t == nil || len(parent) != parentSize {
		return nil
	}
	ctx := w3c.Extract(context.Background(), propagation.MapCarrier{traceparent: parent})
	if !otel.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	return t.start(ctx, name, k, at)
}

func (t *Tracer) start(ctx context.Context, name string, k Kind, at time.Time) *Span {
	ctx, s := t.tracer.Start(ctx, name, otel.WithSpanKind(otel.SpanKind(k)), otel.WithTimestamp(at))
	return &Span{span: s, parent: parentOf(ctx)}
}

const (
	traceparent = "traceparent"
	parentSize  = len("00-") + 32 + len("-") + 16 + len("-01")
)

var w3c propagation.TraceContext

// parentOf is the traceparent of ctx's span.
func parentOf(ctx context.Context) string {
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	return c[traceparent]
}
