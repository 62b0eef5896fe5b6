package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"trunkline/internal/fault"
)

// decodeObject decodes b, one JSON object and nothing after it, into the struct
// dst. It is stricter than encoding/json: names match exactly, no member comes
// twice or is null where it is required, and an error names the member.
// lenient lets members pass that dst does not know. prefix is the path of
// names down to b, with a dot at its end. On error dst is worthless.
func decodeObject(b []byte, dst reflect.Value, prefix string, lenient bool) error {
	members, err := membersOf(b, prefix)
	if err != nil {
		return err
	}
	for _, f := range fieldsOf(dst.Type()) {
		if f.place != "json" {
			continue
		}
		raw, ok := members[f.name]
		delete(members, f.name)
		if !ok || string(raw) == "null" {
			if f.required {
				return invalid(prefix+f.name, "missing")
			}
			continue
		}
		if err := decodeMember(raw, dst.FieldByIndex(f.index), f, prefix+f.name, lenient); err != nil {
			return err
		}
	}
	if lenient {
		return nil
	}
	for name := range members {
		return invalid(prefix+name, "no such member")
	}
	return nil
}

func decodeMember(raw json.RawMessage, dst reflect.Value, f field, path string, lenient bool) error {
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		dst = dst.Elem()
	}
	if isObject(dst.Type()) {
		return decodeObject(raw, dst, path+".", lenient)
	}
	if isList(dst.Type()) {
		return decodeList(raw, dst, f, path, lenient)
	}
	if dst.Type() == byteType && raw[0] != '"' {
		return invalid(path, "need a string in base64") // encoding/json takes arrays of numbers, too
	}
	if err := json.Unmarshal(raw, dst.Addr().Interface()); err != nil {
		return invalid(path, reason(err, dst.Type()))
	}
	if err := f.check(dst); err != nil {
		return invalid(path, err.Error())
	}
	return nil
}

// decodeList decodes an array. What f says of a string holds for each of them.
func decodeList(raw json.RawMessage, dst reflect.Value, f field, path string, lenient bool) error {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return invalid(path, "need an array")
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(items), len(items)))
	if err := f.check(dst); err != nil {
		return invalid(path, err.Error())
	}
	f.min, f.max, f.required = 0, 0, true
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if string(item) == "null" {
			return invalid(at, "missing")
		}
		if err := decodeMember(item, dst.Index(i), f, at, lenient); err != nil {
			return err
		}
	}
	return nil
}

// reason words a decoder's error without Go's names for things.
func reason(err error, t reflect.Type) string {
	var wrongType *json.UnmarshalTypeError
	var corrupt base64.CorruptInputError
	switch {
	case t == timeType:
		return "need a time such as 2026-03-01T12:00:00Z"
	case errors.As(err, &corrupt):
		return "need a string in base64"
	case errors.As(err, &wrongType):
		switch t.Kind() {
		case reflect.Bool:
			return "need true or false"
		case reflect.String, reflect.Slice:
			return "need a string"
		}
		return "need a number"
	}
	return err.Error() // an id's own
}

// membersOf splits an object into its members.
func membersOf(b []byte, prefix string) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil {
		return nil, notJSON(d, err)
	} else if open != json.Delim('{') {
		return nil, fault.New(fault.Invalid, "Need a JSON object.").In(trimDot(prefix))
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, notJSON(d, err)
		}
		name, ok := key.(string)
		if !ok {
			panic("BUG: the name of a JSON member is not a string")
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, notJSON(d, err)
		}
		if _, twice := members[name]; twice {
			return nil, invalid(prefix+name, "given twice")
		}
		members[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, notJSON(d, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "Something follows the JSON object.")
	}
	return members, nil
}

func notJSON(d *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "The body ends before its JSON does.")
	}
	return fault.New(fault.Invalid, "%s", fmt.Sprintf("The body is not JSON, near byte %d.", d.InputOffset()))
}

func trimDot(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix[:len(prefix)-1]
}
