package api_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trunkline/internal/fault"
)

// What people who mean no good put in fields. The first act on the text that
// they are in; the others are texts like any, to be kept as they are.
var (
	acting = []string{"a\r\nSet-Cookie: x=1", "a\x00b", "\x1b[31m", "a\u202egpj.exe", "\u2066x", "a\u200bb", "a\u2028b"}
	text   = []string{
		`<script>alert(1)</script>`, `" onload="x`, `'; DROP TABLE devices; --`, `../../../etc/passwd`, `..%2f..%2f`, `{{7*7}}`, `аnnа`, `=1+1`, `%00`, `\`,
	}
)

// Every example of the document is a request that is served.
func TestExamplesAreServed(t *testing.T) {
	w := newWorld(t)
	for _, s := range specs(t, w) {
		if s.name == "watchDevices" {
			continue // does not end
		}
		target, headers := s.request(nil)
		body := ""
		if s.example != nil {
			body = encoded(t, s.example)
		} else if s.media != nil {
			body = `"a licence"`
		}
		if rec := w.do(s.method, target, body, headers...); strconv.Itoa(rec.Code) != s.success {
			t.Errorf("%s: %d, not %s: %s", s.name, rec.Code, s.success, rec.Body)
		}
	}
}

// attack sends one bad request and expects the code, the field and no more.
func attack(t *testing.T, w *world, s spec, target, body, field string, headers ...string) {
	t.Helper()
	w.fleet.asked = nil
	rec := w.do(s.method, target, body, headers...)
	if rec.Code < 400 {
		t.Errorf("%s %s %.200s %q: %d, want field %s", s.name, target, body, headers, rec.Code, field)
		return
	}
	p := problem(t, rec)
	named := p.Field == field || strings.HasPrefix(p.Field, field+"[") || strings.HasPrefix(p.Field, field+".")
	if p.Code != fault.Invalid || !named {
		t.Errorf("%s %s %.200s: %d %+v, want field %s", s.name, target, body, rec.Code, p, field)
	}
	if w.fleet.last() != nil {
		t.Errorf("%s %s %.200s: reached fleet", s.name, target, body)
	}
}

func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	var tried int
	for _, s := range specs(t, w) {
		if s.body == nil {
			continue
		}
		target, _ := s.request(nil)
		required, _ := s.body["required"].([]any)
		send := func(name string, value any) {
			t.Helper()
			tried++
			body := maps.Clone(s.example)
			body[name] = value
			attack(t, w, s, target, encoded(t, body), name)
		}
		for _, name := range required {
			body := maps.Clone(s.example)
			delete(body, name.(string))
			attack(t, w, s, target, encoded(t, body), name.(string))
			send(name.(string), nil)
		}
		for name, schema := range s.body["properties"].(map[string]any) {
			for _, bad := range hostile(schema.(map[string]any)) {
				send(name, bad)
			}
		}
		if s.body["additionalProperties"] == false {
			send("nonsense", 1)
			send(strings.ToUpper(firstOf(s.body)), 1)
		}
	}
	if tried < 300 {
		t.Errorf("only %d requests: the walk is broken", tried)
	}
}

func firstOf(body map[string]any) string {
	return slices.Sorted(maps.Keys(body["properties"].(map[string]any)))[0]
}

// hostile are values that a schema does not have.
func hostile(schema map[string]any) []any {
	out := map[string][]any{
		"string":  {7, true, []any{}, map[string]any{}},
		"integer": {"7", 1.5, -1, 1e30, true, []any{}},
		"boolean": {"true", 0, []any{}},
		"array":   {"x", 7, map[string]any{}, []any{nil}, []any{[]any{}}, []any{map[string]any{"nonsense": 1}}},
		"object":  {"x", 7, []any{}, map[string]any{"nonsense": 1}},
	}[kind(schema)]
	if limit, ok := schema["maxLength"].(float64); ok {
		out = append(out, strings.Repeat("x", int(limit)+1))
	}
	if limit, ok := schema["maximum"].(float64); ok {
		out = append(out, limit+1)
	}
	if limit, ok := schema["minimum"].(float64); ok {
		out = append(out, limit-1)
	}
	if limit, ok := schema["maxItems"].(float64); ok {
		out = append(out, slices.Repeat([]any{"x"}, int(limit)+1))
	}
	if kind(schema) == "string" && schema["format"] != "password" {
		for _, s := range acting {
			out = append(out, s)
		}
	}
	if closed(schema) {
		for _, s := range text {
			out = append(out, s)
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		for _, one := range hostile(items) {
			out = append(out, []any{one})
		}
	}
	return out
}

func kind(schema map[string]any) string {
	if k, ok := schema["type"].(string); ok {
		return k
	}
	return "object"
}

// closed strings are those of a known form.
func closed(schema map[string]any) bool {
	return kind(schema) == "string" && (schema["pattern"] != nil || schema["enum"] != nil || schema["contentEncoding"] != nil || schema["format"] == "date-time")
}

func TestHostileParameters(t *testing.T) {
	w := newWorld(t)
	var tried int
	for _, s := range specs(t, w) {
		body := ""
		if s.example != nil {
			body = encoded(t, s.example)
		} else if s.media != nil {
			body = `"a licence"`
		}
		for _, p := range s.params {
			for _, bad := range hostileTexts(p) {
				tried++
				target, headers := s.request(func(q param) (string, bool) {
					if q.name == p.name {
						return bad, true
					}
					return "", q.required || q.example != nil && q.in != "header"
				})
				attack(t, w, s, target, body, p.name, headers...)
			}
			if p.in == "query" {
				target, _ := s.request(nil)
				target += joint(target) + p.name + "=a&" + p.name + "=a"
				attack(t, w, s, target, body, p.name)
			}
			if p.in == "query" && p.required {
				target, _ := s.request(func(q param) (string, bool) { return "", q.name != p.name && q.required })
				attack(t, w, s, target, body, p.name)
			}
		}
		target, _ := s.request(nil)
		attack(t, w, s, target+joint(target)+"nonsense=1", body, "nonsense")
	}
	if tried < 300 {
		t.Errorf("only %d requests: the walk is broken", tried)
	}
}

func joint(target string) string {
	if strings.Contains(target, "?") {
		return "&"
	}
	return "?"
}

func hostileTexts(p param) []string {
	var out []string
	switch p.name {
	case "Idempotency-Key", "If-None-Match":
		return nil // once_test.go; and of ETags none is malformed
	}
	switch kind(p.schema) {
	case "integer":
		out = []string{"x", "-1", "1e3", "99999999999999999999", "0x10", "1\x00"}
	case "boolean":
		out = []string{"yes", "1", "TRUE", "\x00"}
	case "string":
		if limit, ok := p.schema["maxLength"].(float64); ok {
			out = append(out, strings.Repeat("x", int(limit)+1))
		}
		if closed(p.schema) {
			out = append(out, text...)
		}
		if p.in != "header" {
			out = append(out, append([]string{"\xff\xfe"}, acting...)...)
		}
	}
	if limit, ok := p.schema["maximum"].(float64); ok {
		out = append(out, strconv.Itoa(int(limit)+1))
	}
	return out
}

// A text is what it is: it arrives at fleet, and goes out in JSON that no
// browser takes for a page.
func TestTextsAreKeptAsTheyAre(t *testing.T) {
	w := newWorld(t)
	for _, s := range text {
		rec := w.do("POST", "/api/v1/groups", encoded(t, map[string]any{"name": s}))
		if asked := w.fleet.last(); rec.Code != 201 || len(asked) != 2 || asked[1] != s {
			t.Errorf("%q: %d, %v", s, rec.Code, asked)
		}
		if h := rec.Header(); h.Get("Content-Type") != "application/json" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", h)
		}
	}
}
