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

	"trunkline/control/fleet"
)

// field is what the tags of a request's or an answer's struct say of one
// value; the tags' meaning is in controlapi's package comment. The decoder
// and the OpenAPI document both read it.
type field struct {
	name           string
	place          string // "path", "query", "header", "json", or "body" for the body itself
	index          []int
	typ            reflect.Type
	required       bool
	doc, format    string
	enum           []string
	min, max, size int    // 0: unsaid
	example        string // "": one is made up; "-": none
}

// fieldsOf lists t's fields in the order of their declaration.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for _, sf := range reflect.VisibleFields(t) {
		if sf.Anonymous || !sf.IsExported() {
			continue
		}
		f := field{index: sf.Index, typ: sf.Type, doc: sf.Tag.Get("doc"), format: sf.Tag.Get("format"), example: sf.Tag.Get("example")}
		for _, place := range []string{"path", "query", "header", "json", "body"} {
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
	if n, named := bounds[tag+" "+s]; named {
		return n
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("BUG: tag " + tag + " of " + sf.Name)
	}
	return n
}

// bounds are those that the rules enforce too, and name once.
var bounds = map[string]int{
	"min password": fleet.MinPassword, "max password": fleet.MaxPassword,
	"max connections": fleet.MaxConnections,
}

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType = reflect.TypeFor[time.Time]()
	byteType = reflect.TypeFor[[]byte]()
)

// isList reports whether t is a list of things that JSON shows as an array.
func isList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t != byteType && !reflect.PointerTo(t).Implements(textType)
}

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
	case v.Kind() == reflect.Slice:
		if n := v.Len(); n < f.min || f.max != 0 && n > f.max {
			return fmt.Errorf("need %d to %d of them", f.min, f.max)
		}
	case v.CanInt():
		// Nothing that the API counts is below zero.
		if n := v.Int(); n < int64(f.min) || f.max != 0 && n > int64(f.max) {
			return fmt.Errorf("need %d to %d", f.min, f.max)
		}
	}
	return nil
}

func (f field) checkString(s string) error {
	switch {
	case s == "" && f.required:
		return fmt.Errorf("must not be empty")
	case f.min != 0 && utf8.RuneCountInString(s) < f.min:
		return fmt.Errorf("at least %d characters", f.min)
	case f.max != 0 && utf8.RuneCountInString(s) > f.max:
		return fmt.Errorf("at most %d characters", f.max)
	case f.enum != nil && s != "" && !slices.Contains(f.enum, s):
		return fmt.Errorf("need one of %s", strings.Join(f.enum, ", "))
	case f.format != "password" && f.format != "licence" && strings.ContainsFunc(s, unseen):
		// It would end up in logs, in the audit and on a terminal.
		return fmt.Errorf("must not contain control characters")
	}
	return nil
}

// unseen are the characters that act on a text instead of being in it: line
// breaks, escapes, and those that turn its direction.
func unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// parse reads the text of a path, query or header value into dst.
func (f field) parse(text string, dst reflect.Value) error {
	switch {
	case !utf8.ValidString(text):
		return fmt.Errorf("not UTF-8")
	case dst.Addr().Type().Implements(textType):
		err := dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
		if err != nil && dst.Type() == timeType {
			return fmt.Errorf("need a time such as 2026-03-01T12:00:00Z")
		}
		if err != nil {
			return err
		}
	case dst.Kind() == reflect.String:
		dst.SetString(text)
	case dst.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("need true or false")
		}
		dst.SetBool(text == "true")
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
