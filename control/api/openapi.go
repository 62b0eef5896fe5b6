package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
)

type object = map[string]any

const intro = `Trunkline's control plane: activation of PBXs, devices, visits, people, resellers, audit.

Errors are problem documents (RFC 9457). Match on the member code, which is stable; the texts are for people.
Answers may gain members; ignore those you do not know. Requests must not have members or parameters that are
not listed here, but for those of agents (activate, renewPass).`

// document is the OpenAPI 3.1 document of the table.
func document(table []route) []byte {
	s := schemas{}
	s.ref(reflect.TypeFor[fault.Problem]())
	paths := object{}
	for _, rt := range table {
		item, ok := paths[rt.pattern()].(object)
		if !ok {
			item = object{}
			paths[rt.pattern()] = item
		}
		item[strings.ToLower(rt.method)] = operation(rt, s)
	}
	doc := object{
		"openapi": "3.1.0",
		"info":    object{"title": "Trunkline", "version": "1", "description": intro, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers": []any{object{"url": "/"}},
		"paths":   paths,
		"components": object{
			"schemas": s,
			"parameters": object{
				"Idempotency-Key": object{"name": "Idempotency-Key", "in": "header", "required": false, "schema": object{"type": "string", "maxLength": 255},
					"description": "Any text that is new for every thing to be made, in quotes. The same request with the same key gets the first one's answer, for 24 hours."},
				"If-None-Match": object{"name": "If-None-Match", "in": "header", "required": false, "schema": object{"type": "string"},
					"description": "ETags that the client has."},
			},
			"headers": object{
				"ETag": object{"schema": object{"type": "string"}, "description": "Of the answer, for If-None-Match; and of what can be edited, for If-Match."},
			},
			"securitySchemes": object{
				"session": object{"type": "http", "scheme": "bearer", "description": "A session's token, from signIn. It may do all that the person may."},
				"token":   object{"type": "http", "scheme": "bearer", "description": "An API token, from addToken. It may do what its scopes name, as far as the person may."},
			},
		},
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic("BUG: OpenAPI document: " + err.Error())
	}
	return b
}

func operation(rt route, s schemas) object {
	op := object{
		"operationId": rt.name, "summary": rt.summary, "tags": []string{strings.Split(rt.path, "/")[1]},
		"responses": responses(rt, s), "security": security(rt.scope),
	}
	if rt.scope != public {
		op["x-scope"] = rt.scope
	}
	var parameters []any
	for _, f := range fieldsOf(rt.in) {
		if f.place != "json" && f.place != "body" {
			p := object{"name": f.name, "in": f.place, "required": f.required, "schema": s.of(f)}
			if f.doc != "" {
				p["description"] = f.doc
			}
			if e, ok := exampleOf(f); ok {
				p["example"] = e
			}
			parameters = append(parameters, p)
		}
	}
	for _, h := range rt.headers() {
		parameters = append(parameters, object{"$ref": "#/components/parameters/" + h})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if body := requestBody(rt, s); body != nil {
		op["requestBody"] = body
	}
	return op
}

// security is what may call it. A bearer scheme names roles since 3.1; ours
// are scopes.
func security(scope string) []any {
	switch scope {
	case public:
		return []any{}
	case sessionOnly:
		return []any{object{"session": []string{}}}
	case anyToken:
		return []any{object{"session": []string{}}, object{"token": []string{}}}
	}
	return []any{object{"session": []string{}}, object{"token": []string{scope}}}
}

func requestBody(rt route, s schemas) object {
	if f, whole := rt.wholeBody(); whole {
		o := s.of(f)
		o["description"] = f.doc
		return object{"required": true, "content": object{
			"text/plain": object{"schema": o}, "application/json": object{"schema": o},
		}}
	}
	if rt.bodyless() {
		return nil
	}
	media := object{"schema": s.request(rt.bodyType(), rt.lenient), "example": exampleObject(rt.bodyType())}
	return object{"required": !rt.bodyOptional(), "content": object{"application/json": media}}
}

// responses are the success and, by status, whatever can be refused.
func responses(rt route, s schemas) object {
	success := object{"description": http.StatusText(rt.status)}
	switch {
	case rt.stream != nil:
		describeStream(rt, s, success)
	case rt.status != http.StatusNoContent:
		success["content"] = object{"application/json": object{"schema": s.schema(rt.out)}}
	}
	out := object{strconv.Itoa(rt.status): success}
	if rt.tagged {
		success["headers"] = object{"ETag": object{"$ref": "#/components/headers/ETag"}}
		if rt.method == http.MethodGet {
			out["304"] = object{"description": "Not Modified: If-None-Match has its ETag."}
		}
	}
	byStatus := map[int][]string{}
	for _, c := range rt.possible() {
		byStatus[fault.Status(c)] = append(byStatus[fault.Status(c)], string(c))
	}
	for status, codes := range byStatus {
		slices.Sort(codes)
		out[strconv.Itoa(status)] = object{
			"description": http.StatusText(status) + ": " + strings.Join(codes, ", ") + ".", "x-codes": codes,
			"content": object{"application/problem+json": object{"schema": s.ref(reflect.TypeFor[fault.Problem]())}},
		}
	}
	return out
}

func describeStream(rt route, s schemas, success object) {
	content := object{}
	for _, media := range rt.media {
		content[media] = object{"schema": object{"type": "string"}}
	}
	success["content"] = content
	switch {
	case rt.media[0] == "text/event-stream":
		success["description"] = "Events of type device; the data of each is " + name(rt.out) + " in JSON. A comment comes every " +
			strconv.Itoa(controlapi.HeartbeatEvery) + " seconds."
	case rt.out != reflect.TypeFor[none]():
		success["description"] = "One " + name(rt.out) + " in JSON a line."
	default:
		success["description"] = "The file, as an attachment."
	}
	if rt.out != reflect.TypeFor[none]() {
		s.ref(rt.out)
	}
}

// possible are the codes the row names and those of everything in front of it.
func (rt route) possible() []fault.Code {
	codes := append([]fault.Code{fault.Internal, fault.Unavailable, fault.Invalid, fault.TooMany}, rt.codes...)
	if !rt.public() {
		codes = append(codes, fault.SignInNeeded)
	}
	if !rt.public() && rt.scope != anyToken {
		codes = append(codes, fault.Scope)
	}
	if !rt.bodyless() {
		codes = append(codes, fault.TooLarge)
	}
	if rt.has("header") {
		codes = append(codes, fault.Changed)
	}
	if rt.creates {
		codes = append(codes, fault.KeyReused, fault.InProgress)
	}
	if rt.method != http.MethodGet {
		codes = append(codes, fault.CrossSite)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
