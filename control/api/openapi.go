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

const intro = `Trunkline's control plane: activation of PBXs, devices, visits, audit.

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
			"schemas":         s,
			"securitySchemes": object{"session": object{"type": "http", "scheme": "bearer", "description": "A session's token, from signIn."}},
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
		"responses": responses(rt, s), "security": []any{object{"session": []string{}}},
	}
	if rt.public {
		op["security"] = []any{}
	}
	var parameters []any
	for _, f := range fieldsOf(rt.in) {
		if f.place != "json" {
			p := object{"name": f.name, "in": f.place, "required": f.required, "schema": s.of(f)}
			if f.doc != "" {
				p["description"] = f.doc
			}
			parameters = append(parameters, p)
		}
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	if rt.hasBody() {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.request(rt.in, rt.lenient)}}}
	}
	return op
}

func (rt route) hasBody() bool {
	return slices.ContainsFunc(fieldsOf(rt.in), func(f field) bool { return f.place == "json" })
}

// responses are the success and, by status, whatever can be refused.
func responses(rt route, s schemas) object {
	success := object{"description": http.StatusText(rt.status)}
	switch {
	case rt.stream != nil:
		success["description"] = "Events of type device; the data of each is " + name(rt.out) + " in JSON. A comment comes every " +
			strconv.Itoa(controlapi.HeartbeatEvery) + " seconds."
		s.ref(rt.out)
		success["content"] = object{"text/event-stream": object{"schema": object{"type": "string"}}}
	case rt.status != http.StatusNoContent:
		success["content"] = object{"application/json": object{"schema": s.schema(rt.out)}}
	}
	out := object{strconv.Itoa(rt.status): success}
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

// possible are the codes the row names and those of everything in front of it.
func (rt route) possible() []fault.Code {
	codes := append([]fault.Code{fault.Internal, fault.Unavailable, fault.Invalid}, rt.codes...)
	if !rt.public {
		codes = append(codes, fault.SignInNeeded)
	}
	if rt.hasBody() {
		codes = append(codes, fault.TooLarge)
	}
	if rt.method != http.MethodGet {
		codes = append(codes, fault.CrossSite)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
