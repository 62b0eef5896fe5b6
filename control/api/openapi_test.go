package api_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

func TestOpenAPIDocument(t *testing.T) {
	w := newWorld(t)
	rec := w.do("GET", "/api/v1/openapi.json", "", "Authorization", "")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/json" {
		t.Fatal(rec.Code, rec.Header())
	}
	golden(t, "openapi.json", rec.Body.Bytes())
}

// The rules of OpenAPI 3.1 that generators of clients stumble over.
func TestOpenAPIDocumentIsValid(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(newWorld(t).do("GET", "/api/v1/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["openapi"] != "3.1.0" || at(doc, "info", "title") == nil || at(doc, "info", "version") == nil {
		t.Error("no OpenAPI 3.1 document")
	}
	used := map[string]bool{}
	walk(doc, "", func(path string, o map[string]any) {
		if ref, ok := o["$ref"].(string); ok {
			used[ref] = true
			if at(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
				t.Errorf("%s: %s leads nowhere", path, ref)
			}
		}
		if required, ok := o["required"].([]any); ok {
			for _, name := range required {
				if at(o, "properties", name.(string)) == nil {
					t.Errorf("%s: %s is required and not there", path, name)
				}
			}
		}
		if pattern, ok := o["pattern"].(string); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
	for name, schema := range at(doc, "components", "schemas").(map[string]any) {
		if !used["#/components/schemas/"+name] && name != "DeviceEvent" && name != "AuditEntry" { // of a stream: named in words
			t.Errorf("schema %s is not used", name)
		}
		if len(schema.(map[string]any)["properties"].(map[string]any)) == 0 {
			t.Errorf("schema %s is empty", name)
		}
	}
	ids := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			where := method + " " + path
			name, _ := op["operationId"].(string)
			if name == "" || ids[name] || op["summary"] == nil {
				t.Errorf("%s: operationId %q", where, name)
			}
			ids[name] = true
			checkResponses(t, where, op["responses"].(map[string]any))
			checkPath(t, path, op)
		}
	}
}

func checkResponses(t *testing.T, where string, responses map[string]any) {
	t.Helper()
	var successes int
	for status, r := range responses {
		content, _ := r.(map[string]any)["content"].(map[string]any)
		if status[0] == '2' {
			successes++
		}
		if r.(map[string]any)["description"] == "" {
			t.Errorf("%s: %s without description", where, status)
		}
		if status == "204" || status == "304" {
			if content != nil {
				t.Errorf("%s: %s with content", where, status)
			}
			continue
		}
		if len(content) == 0 {
			t.Errorf("%s: %s has %d types of content", where, status, len(content))
		}
		for kind, c := range content {
			if c.(map[string]any)["schema"] == nil || (status[0] == '2') == (kind == "application/problem+json") {
				t.Errorf("%s: %s: %s", where, status, kind)
			}
		}
	}
	if successes != 1 || responses["500"] == nil {
		t.Errorf("%s: %d successes", where, successes)
	}
}

// checkPath: every name in braces is a required parameter, and no other is.
func checkPath(t *testing.T, path string, op map[string]any) {
	t.Helper()
	var want, got []string
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
		want = append(want, m[1])
	}
	parameters, _ := op["parameters"].([]any)
	for _, p := range parameters {
		p := p.(map[string]any)
		if p["$ref"] != nil {
			continue
		}
		if p["in"] == "path" && p["required"] == true {
			got = append(got, p["name"].(string))
		}
		if p["schema"] == nil {
			t.Errorf("%s: parameter %s has no schema", path, p["name"])
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("%s: parameters %v", path, got)
	}
}

// The document's patterns of ids are what the ids' own parsers accept.
func TestPatternsMatchIDs(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(newWorld(t).do("GET", "/api/v1/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	device := regexp.MustCompile(at(doc, "components", "schemas", "Device", "properties", "id", "pattern").(string))
	for c := range 128 {
		s := "dev_000000000000000" + string(rune(c))
		var d id.Device
		if got, want := device.MatchString(s), d.UnmarshalText([]byte(s)) == nil; got != want {
			t.Errorf("%q: pattern %v, parser %v", s, got, want)
		}
	}
	site := regexp.MustCompile(at(doc, "components", "schemas", "Device", "properties", "site", "pattern").(string))
	for _, s := range []string{"a", "a-b", "-a", "a-", "", strings.Repeat("a", 63), strings.Repeat("a", 64), "A", "a.b"} {
		var v id.Site
		if got, want := site.MatchString(s), v.UnmarshalText([]byte(s)) == nil; got != want {
			t.Errorf("%q: pattern %v, parser %v", s, got, want)
		}
	}
}

func at(v any, path ...string) any {
	for _, name := range path {
		o, _ := v.(map[string]any)
		if v = o[name]; v == nil {
			return nil
		}
	}
	return v
}

func walk(v any, path string, visit func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(path, v)
		for name, member := range v {
			walk(member, path+"/"+name, visit)
		}
	case []any:
		for i, item := range v {
			walk(item, fmt.Sprintf("%s/%d", path, i), visit)
		}
	}
}

// The document names every code that a visit can end with.
func TestEndCodesAreInTheDocument(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(newWorld(t).do("GET", "/api/v1/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	said := at(doc, "components", "schemas", "Visit", "properties", "end_code", "description").(string)
	for _, c := range fault.Endings() {
		if !regexp.MustCompile(`\b` + string(c) + `\b`).MatchString(said) {
			t.Errorf("%s is not in %q", c, said)
		}
	}
}
