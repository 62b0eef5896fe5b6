package api

import (
	"encoding/base64"
	"reflect"
	"time"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// Examples are made of the fields' tags and types, so that they cannot be
// wrong; a test sends them all.

const exampleID = "0123456789abcdef"

// exampleTexts are for values whose type says what they look like.
var exampleTexts = map[reflect.Type]string{
	reflect.TypeFor[id.Account]():             "acc_" + exampleID,
	reflect.TypeFor[id.User]():                "usr_" + exampleID,
	reflect.TypeFor[id.Device]():              "dev_" + exampleID,
	reflect.TypeFor[id.Visit]():               "vis_" + exampleID,
	reflect.TypeFor[id.Group]():               "grp_" + exampleID,
	reflect.TypeFor[id.Token]():               "tok_" + exampleID,
	reflect.TypeFor[id.Site]():                "pbx-0123abcd",
	reflect.TypeFor[id.Serial]():              "SN-0001",
	reflect.TypeFor[controlapi.GroupChoice](): "grp_" + exampleID,
	reflect.TypeFor[controlapi.DeviceIDs]():   "dev_" + exampleID,
	timeType:                                  time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Format(time.RFC3339),
}

// exampleOf is a value for f that is accepted, unless f wants none.
func exampleOf(f field) (any, bool) {
	t := f.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case f.example == "-":
		return nil, false
	case f.example != "":
		return f.example, true
	case exampleTexts[t] != "":
		return exampleTexts[t], true
	case t == byteType:
		return base64.StdEncoding.EncodeToString(make([]byte, f.size)), true
	case isList(t):
		f.typ, f.min, f.max = t.Elem(), 0, 0
		one, _ := exampleOf(f)
		return []any{one}, true
	case isObject(t):
		return exampleObject(t), true
	case f.enum != nil:
		return f.enum[0], true
	case t.Kind() == reflect.Bool:
		return true, true
	case t.Kind() == reflect.String:
		return exampleText(f), true
	}
	return max(f.min, 1), true
}

func exampleText(f field) string {
	switch f.format {
	case "email":
		return "new.person@example.com"
	case "password":
		return "correct horse battery"
	}
	return "Example"
}

func exampleObject(t reflect.Type) object {
	o := object{}
	for _, f := range fieldsOf(t) {
		if f.place != "json" {
			continue
		}
		if v, ok := exampleOf(f); ok {
			o[f.name] = v
		}
	}
	return o
}
