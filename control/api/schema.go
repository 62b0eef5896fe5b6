package api

import (
	"encoding/json"
	"reflect"
	"strings"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// schemas are the document's named schemas (JSON Schema 2020-12), made of Go
// types as they are referred to.
type schemas object

// patterns of the ids; the ids' own UnmarshalText is what is checked.
var patterns = map[reflect.Type]string{
	reflect.TypeFor[id.Account](): "^acc_[0-9a-hjkmnp-tv-z]{16}$",
	reflect.TypeFor[id.User]():    "^usr_[0-9a-hjkmnp-tv-z]{16}$",
	reflect.TypeFor[id.Device]():  "^dev_[0-9a-hjkmnp-tv-z]{16}$",
	reflect.TypeFor[id.Visit]():   "^vis_[0-9a-hjkmnp-tv-z]{16}$",
	reflect.TypeFor[id.Group]():   "^grp_[0-9a-hjkmnp-tv-z]{16}$",
	reflect.TypeFor[id.Token]():   "^tok_[0-9a-hjkmnp-tv-z]{16}$",

	reflect.TypeFor[controlapi.GroupChoice](): "^(none|grp_[0-9a-hjkmnp-tv-z]{16})$",
	reflect.TypeFor[controlapi.DeviceIDs]():   "^dev_[0-9a-hjkmnp-tv-z]{16}(,dev_[0-9a-hjkmnp-tv-z]{16})*$",
	reflect.TypeFor[precondition]():           `^(\*|(W/)?"[^"\\ ,]+")$`,
	reflect.TypeFor[id.Relay]():               "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
	reflect.TypeFor[id.Site]():                "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
	reflect.TypeFor[id.Serial]():              "^[A-Za-z0-9-]{4,32}$",
}

// ref defines t, a struct, and refers to it.
func (s schemas) ref(t reflect.Type) object {
	n := name(t)
	if _, done := s[n]; !done {
		s[n] = object{} // before its members: they may refer to it
		s[n] = s.define(t)
	}
	return object{"$ref": "#/components/schemas/" + n}
}

// request is ref for a body. Unless lenient, what is not listed is refused.
func (s schemas) request(t reflect.Type, lenient bool) object {
	r := s.ref(t)
	if !lenient {
		s[name(t)].(object)["additionalProperties"] = false
	}
	return r
}

func (s schemas) define(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range fieldsOf(t) {
		if f.place != "json" {
			continue // a parameter
		}
		properties[f.name] = s.of(f)
		if f.required {
			required = append(required, f.name)
		}
	}
	o := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// of is the schema of one field with its bounds.
func (s schemas) of(f field) object {
	if isList(f.typ) {
		return s.list(f)
	}
	o := s.schema(f.typ)
	t := f.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	text := t.Kind() == reflect.String
	for key, v := range map[string]any{"description": f.doc, "format": f.format} {
		if !reflect.ValueOf(v).IsZero() && (key != "description" || f.place == "json") {
			o[key] = v
		}
	}
	switch {
	case f.max != 0 && text:
		o["maxLength"] = f.max
	case f.max != 0:
		o["maximum"] = f.max
	}
	switch {
	case f.min != 0 && text:
		o["minLength"] = f.min
	case f.min != 0:
		o["minimum"] = f.min
	}
	if f.size != 0 {
		n := (f.size + 2) / 3 * 4
		o["minLength"], o["maxLength"] = n, n
	}
	if f.enum != nil {
		o["enum"] = f.enum
	} else if text && f.required && f.max != 0 && f.min == 0 {
		o["minLength"] = 1
	}
	return o
}

// list is of for an array: its bounds count items, and what f says of a string
// holds for each.
func (s schemas) list(f field) object {
	item := s.schema(f.typ.Elem())
	if f.enum != nil {
		item["enum"] = f.enum
	}
	o := object{"type": "array", "items": item}
	for key, v := range map[string]any{"description": f.doc, "minItems": f.min, "maxItems": f.max} {
		if !reflect.ValueOf(v).IsZero() {
			o[key] = v
		}
	}
	return o
}

func (s schemas) schema(t reflect.Type) object {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == byteType:
		return object{"type": "string", "contentEncoding": "base64"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"type": "object"}
	case patterns[t] != "":
		return object{"type": "string", "pattern": patterns[t]}
	case isObject(t):
		return s.ref(t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	}
	panic("BUG: no schema for " + t.String())
}

// name is the Go name; Page[pkg.Device] becomes DevicePage.
func name(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return outer
	}
	return strings.TrimSuffix(inner[strings.LastIndexByte(inner, '.')+1:], "]") + outer
}
