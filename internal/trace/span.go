package trace

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"trunkline/internal/fault"
)

// Kind is a span's place in a call.
type Kind int

const (
	Internal = Kind(otel.SpanKindInternal)
	Server   = Kind(otel.SpanKindServer)
	Client   = Kind(otel.SpanKindClient)
)

// Span is one step of a visit's trace.
type Span struct {
	span   otel.Span
	parent string
}

// Parent is what the span's children are told, a traceparent; "" of nil.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	return s.parent
}

// maxValue bounds what a hostile string takes, in bytes.
const maxValue = 256

// Set gives the span an attribute. Names are those of the semantic conventions,
// or begin with trunkline. Never give it what lets anybody in, or a query string.
func (s *Span) Set(name, value string) {
	if s != nil && value != "" {
		s.span.SetAttributes(attribute.String(name, value[:min(len(value), maxValue)]))
	}
}

// SetInt is Set of a number.
func (s *Span) SetInt(name string, value int64) {
	if s != nil {
		s.span.SetAttributes(attribute.Int64(name, value))
	}
}

// Fail marks the span as failed, by a code of ours.
func (s *Span) Fail(code fault.Code) {
	if s != nil {
		s.span.SetAttributes(attribute.String("error.type", string(code)))
		s.span.SetStatus(codes.Error, "")
	}
}

// End ends the span, as failed if err is not nil.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.Fail(fault.CodeOf(err))
	}
	s.span.End()
}
