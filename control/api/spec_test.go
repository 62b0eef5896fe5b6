package api_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// spec is what the document says of one operation, enough to make requests.
type spec struct {
	name, method, path string // path without its ids filled in
	params             []param
	body               map[string]any // schema; nil: none, or not an object
	example            map[string]any
	media              []string // of the body
	success            string
}

type param struct {
	name, in string
	required bool
	schema   map[string]any
	example  any
}

// specs are in the order of their names.
func specs(t *testing.T, w *world) []spec {
	t.Helper()
	return specsOf(t, w.do("GET", "/api/v1/openapi.json", "").Body.Bytes())
}

func specsOf(t *testing.T, document []byte) []spec {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	var out []spec
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			s := spec{name: op["operationId"].(string), method: strings.ToUpper(method), path: path}
			parameters, _ := op["parameters"].([]any)
			for _, p := range parameters {
				p := resolved(doc, p.(map[string]any))
				required, _ := p["required"].(bool)
				s.params = append(s.params, param{p["name"].(string), p["in"].(string), required, p["schema"].(map[string]any), p["example"]})
			}
			if content, ok := at(op, "requestBody", "content").(map[string]any); ok {
				s.media = slices.Sorted(maps.Keys(content))
				s.example, _ = at(content, "application/json", "example").(map[string]any)
				if s.example != nil {
					s.body = expanded(doc, at(content, "application/json", "schema").(map[string]any))
				}
			}
			for status := range op["responses"].(map[string]any) {
				if status[0] == '2' {
					s.success = status
				}
			}
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b spec) int { return strings.Compare(a.name, b.name) })
	return out
}

func resolved(doc, o map[string]any) map[string]any {
	if ref, ok := o["$ref"].(string); ok {
		return at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).(map[string]any)
	}
	return o
}

// expanded is a schema with its references followed, all the way down.
func expanded(doc, o map[string]any) map[string]any {
	out := maps.Clone(resolved(doc, o))
	if properties, ok := out["properties"].(map[string]any); ok {
		all := map[string]any{}
		for name, p := range properties {
			all[name] = expanded(doc, p.(map[string]any))
		}
		out["properties"] = all
	}
	if items, ok := out["items"].(map[string]any); ok {
		out["items"] = expanded(doc, items)
	}
	return out
}

// request is a good one with the parameters' examples.
func (s spec) request(change func(p param) (value string, keep bool)) (target string, headers []string) {
	path, query := s.path, []string{}
	for _, p := range s.params {
		value, _ := p.example.(string)
		if p.example != nil && value == "" {
			b, err := json.Marshal(p.example)
			if err != nil {
				panic(err)
			}
			value = string(b)
		}
		keep := p.required || p.example != nil
		if change != nil {
			if changed, wanted := change(p); changed != "" || !wanted {
				value, keep = changed, wanted
			}
		}
		switch {
		case p.in == "path":
			path = strings.ReplaceAll(path, "{"+p.name+"}", escaped(value))
		case !keep || p.in == "header" && value == "":
		case p.in == "query":
			query = append(query, p.name+"="+escaped(value))
		case p.in == "header":
			headers = append(headers, p.name, value)
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return path, headers
}

// escaped is s with all of it in hex, but for what ids are made of.
func escaped(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		}
	}
	return b.String()
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
