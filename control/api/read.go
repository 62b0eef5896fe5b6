package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"trunkline/internal/fault"
)

const (
	maxBodySize = 64 << 10
	bodyTimeout = 15 * time.Second
)

// boundBody limits what a body may weigh and how long it may take, whether
// somebody reads it or net/http discards it after a refusal.
func boundBody(x *exchange, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	// Not every ResponseWriter knows deadlines (a test's does not); the
	// server's own timeout holds then.
	_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(bodyTimeout))
	// The server's own writer: it closes the connection after too large a body.
	r.Body = http.MaxBytesReader(x.ResponseWriter, r.Body, maxBodySize)
}

// read makes the endpoint's input of r: path, query, headers, and body if the
// input has members that live there. Its errors are faults that name the field.
func (rt route) read(x *exchange, r *http.Request) (any, error) {
	in := reflect.New(rt.in).Elem()
	fields := fieldsOf(rt.in)
	if err := readQuery(fields, r.URL.RawQuery, in); err != nil {
		return nil, err
	}
	for _, f := range fields {
		var err error
		switch f.place {
		case "path":
			err = f.parse(r.PathValue(f.name), in.FieldByIndex(f.index))
		case "header":
			err = f.parseHeader(r.Header, in.FieldByIndex(f.index))
		}
		if err != nil {
			return nil, invalid(f.name, err.Error())
		}
	}
	switch {
	case rt.bodyless():
		if r.ContentLength != 0 {
			return nil, fault.New(fault.Invalid, "This request takes no body.")
		}
		return in.Interface(), nil
	case r.ContentLength == 0 && rt.bodyOptional():
		return in.Interface(), nil
	}
	b, kind, err := readBody(x, r, rt.bodyTypes())
	if err != nil {
		return nil, err
	}
	x.body = b
	if f, whole := rt.wholeBody(); whole {
		err = f.decodeWhole(b, kind, in.FieldByIndex(f.index))
	} else {
		err = decodeObject(b, in, "", rt.lenient)
	}
	if err != nil {
		return nil, err
	}
	return in.Interface(), nil
}

func (f field) parseHeader(h http.Header, dst reflect.Value) error {
	values := h.Values(f.name)
	switch len(values) {
	case 0:
		return nil
	case 1:
		return f.parse(values[0], dst)
	}
	return errors.New("given twice")
}

// decodeWhole reads a body that is one text, plain or as a string in JSON.
func (f field) decodeWhole(b []byte, kind string, dst reflect.Value) error {
	if kind == "application/json" {
		if !json.Valid(b) {
			return fault.New(fault.Invalid, "The body is not JSON.")
		}
		return decodeMember(b, dst, f, f.name, false)
	}
	dst.SetString(string(b))
	if err := f.check(dst); err != nil {
		return invalid(f.name, err.Error())
	}
	return nil
}

// readQuery refuses parameters it does not know: a misspelt filter would
// otherwise select everything.
func readQuery(fields []field, raw string, in reflect.Value) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fault.New(fault.Invalid, "The query is malformed.")
	}
	for _, f := range fields {
		values, ok := query[f.name]
		if f.place != "query" || !ok {
			if f.place == "query" && f.required {
				return invalid(f.name, "missing")
			}
			continue
		}
		delete(query, f.name)
		if len(values) != 1 {
			return invalid(f.name, "given twice")
		}
		if err := f.parse(values[0], in.FieldByIndex(f.index)); err != nil {
			return invalid(f.name, err.Error())
		}
	}
	for name := range query {
		return invalid(name, "no such parameter")
	}
	return nil
}

// readBody also says which of the types the body has.
func readBody(x *exchange, r *http.Request, types []string) ([]byte, string, error) {
	kind, err := contentType(r.Header, types)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, "", fault.New(fault.TooLarge, "The body may have %d bytes.", maxBodySize)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, "", fault.New(fault.Invalid, "The body did not arrive within %s.", bodyTimeout)
	case err != nil:
		return nil, "", fault.New(fault.Invalid, "The body did not arrive whole.")
	case !utf8.Valid(b):
		return nil, "", fault.New(fault.Invalid, "The body is not UTF-8.")
	}
	// The body is in. The deadline must go: net/http goes on reading, to notice
	// a client that leaves, and would take the timeout for that.
	_ = http.NewResponseController(x).SetReadDeadline(time.Time{})
	return b, kind, nil
}

func contentType(h http.Header, types []string) (string, error) {
	values, need := h.Values("Content-Type"), strings.Join(types, " or ")
	if len(values) != 1 {
		return "", invalid("Content-Type", "need exactly one, "+need)
	}
	kind, params, err := mime.ParseMediaType(values[0])
	charset, given := params["charset"]
	if err != nil || !slices.Contains(types, kind) || given && !strings.EqualFold(charset, "utf-8") {
		return "", invalid("Content-Type", "need "+need)
	}
	if h.Get("Content-Encoding") != "" {
		return "", invalid("Content-Encoding", "the body must not be compressed")
	}
	return kind, nil
}

// invalid says what is wrong with a field. The name may be the caller's own.
func invalid(name, reason string) *fault.Error {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "..."
	}
	return fault.New(fault.Invalid, "%q: %s.", name, reason).In(name)
}
