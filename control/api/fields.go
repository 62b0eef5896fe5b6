package api

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// field is what the tags of a request's or an answer's struct say of one
// value; the tags' meaning is in controlapi's package comment. The decoder
// and the OpenAPI document both read it.
type field struct {
	name           string
	place          string // "path", "query" or "json"
	index          []int
	typ            reflect.Type
	required       bool
	doc, format    string
	enum           []string
	min, max, size int // 0: unsaid
}

// fieldsOf lists t's fields in the order of their declaration.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for _, sf := range reflect.VisibleFields(t) {
		if sf.Anonymous || !sf.IsExported() {
			continue
		}
		f := field{index: sf.Index, typ: sf.Type, doc: sf.Tag.Get("doc"), format: sf.Tag.Get("format")}
		for _, place := range []string{"path", "query", "json"} {
			if tag, ok := sf.Tag.Lookup(place); ok {
				name, options, _ := strings.Cut(tag, ",")
				f.name, f.place, f.required = name, place, !strings.HasPrefix(options, "omit")
			}
		}
		if f.name == "" || f.name == "-" {
			continue
		}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		f.min, f.max, f.size = number(sf, "min"), number(sf, "max"), number(sf, "size")
		out = append(out, f)
	}
	return out
}

func number(sf reflect.StructField, tag string) int {
	s, ok := sf.Tag.Lookup(tag)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("BUG: tag " + tag + " of " + sf.Name)
	}
	return n
}

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType = reflect.TypeFor[time.Time]()
	byteType = reflect.TypeFor[[]byte]()
)

// isObject reports whether t is a struct that JSON shows as an object.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != timeType
}

// check holds a decoded value against the bounds of f. Its error is for the
// caller's eyes and goes on after the field's name.
func (f field) check(v reflect.Value) error {
	switch {
	case v.Type() == byteType:
		if n := v.Len(); f.size != 0 && n != f.size {
			return fmt.Errorf("need %d bytes in base64, have %d", f.size, n)
		}
	case v.Kind() == reflect.String:
		return f.checkString(v.String())
	case v.CanInt():
		n := v.Int()
		if f.min != 0 && n < int64(f.min) || f.max != 0 && n > int64(f.max) {
			return fmt.Errorf("need %d to %d", f.min, f.max)
		}
	}
	return nil
}

func (f field) checkString(s string) error {
	switch {
	case s == "" && f.required:
		return fmt.Errorf("must not be empty")
	case f.max != 0 && utf8.RuneCountInString(s) > f.max:
		return fmt.Errorf("at most %d characters", f.max)
	case f.enum != nil && s != "" && !slices.Contains(f.enum, s):
		return fmt.Errorf("need one of %s", strings.Join(f.enum, ", "))
	case f.format != "password" && strings.ContainsFunc(s, unicode.IsControl):
		// It would end up in logs, in the audit and on a terminal.
		return fmt.Errorf("must not contain control characters")
	}
	return nil
}

// parse reads the text of a path or query value into dst.
func (f field) parse(text string, dst reflect.Value) error {
	switch {
	case dst.Addr().Type().Implements(textType):
		if err := dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return err
		}
	case dst.Kind() == reflect.String:
		dst.SetString(text)
	case dst.CanInt():
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("need a number")
		}
		dst.SetInt(n)
	default:
		panic("BUG: type of " + f.name)
	}
	return f.check(dst)
}
