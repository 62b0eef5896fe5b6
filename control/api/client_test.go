package api_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// The Go client has a call for every operation, and every one is served. The
// calls are found by reflection: a new one is in the walk by itself.
func TestClientKnowsEveryOperation(t *testing.T) {
	w := newWorld(t)
	w.fleet.watch = make(chan fleet.DeviceEvent, 1)
	w.fleet.watch <- fleet.DeviceEvent{Device: acme}
	close(w.fleet.watch)
	srv := httptest.NewServer(w)
	defer srv.Close()
	c, err := controlapi.NewClient(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithToken(goodToken)
	v := reflect.ValueOf(c)
	for i := range v.NumMethod() {
		name, call := v.Type().Method(i).Name, v.Method(i)
		if call.Type().NumIn() == 0 || call.Type().In(0) != reflect.TypeFor[context.Context]() {
			continue // makes another client
		}
		if err := callWithSamples(t, call); err != nil && !(name == "Watch" && errors.Is(err, errEnough)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	srv.Close() // waits for the requests, also for the one that watched: each is logged at its end
	called := map[string]bool{}
	for _, e := range w.logs.TakeAll() {
		if m := e.ContextMap(); m["status"].(int64) < 300 {
			called[m["route"].(string)] = true
		}
	}
	for _, s := range specs(t, w) {
		if route := s.method + " " + s.path; !called[route] && s.name != "getOpenAPI" {
			t.Errorf("the client does not know %s", route)
		}
	}
}

func callWithSamples(t *testing.T, call reflect.Value) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	args := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < call.Type().NumIn(); i++ {
		args = append(args, sample(call.Type().In(i)))
	}
	out := call.Call(args)
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

// sample is a value of t that is accepted.
func sample(t reflect.Type) reflect.Value {
	given := map[reflect.Type]any{
		reflect.TypeFor[id.Device]():  aDevice,
		reflect.TypeFor[id.User]():    aUser,
		reflect.TypeFor[id.Group]():   aGroup,
		reflect.TypeFor[id.Token]():   aToken,
		reflect.TypeFor[id.Visit]():   aVisit,
		reflect.TypeFor[id.Account](): aReseller,
		reflect.TypeFor[id.Serial]():  id.Serial("SN-0001"),
		reflect.TypeFor[[]byte]():     make([]byte, 32),
	}
	if v, ok := given[t]; ok {
		return reflect.ValueOf(v)
	}
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Interface:
		return reflect.ValueOf(io.Discard)
	case reflect.String:
		v.SetString("technician") // a role's name, and as good a text as any
	case reflect.Int:
		v.SetInt(3600)
	case reflect.Slice:
		v = reflect.Append(v, sample(t.Elem()))
	case reflect.Func:
		return reflect.MakeFunc(t, func([]reflect.Value) []reflect.Value {
			out := make([]reflect.Value, t.NumOut())
			for i := range out {
				out[i] = reflect.ValueOf(&errEnough).Elem()
			}
			return out
		})
	case reflect.Struct:
		for i := range t.NumField() {
			fillField(t.Field(i), v.Field(i))
		}
	}
	return v
}

// fillField leaves out what need not be there, and obeys the tags.
func fillField(sf reflect.StructField, v reflect.Value) {
	tag := sf.Tag.Get("json") + sf.Tag.Get("query")
	if strings.Contains(tag, ",omit") && sf.Name != "Device" {
		return
	}
	enum, _, _ := strings.Cut(sf.Tag.Get("enum"), ",")
	switch {
	case sf.Anonymous && strings.Contains(sf.Type.Name(), "Query"), sf.Type.Kind() == reflect.Pointer:
	case sf.Tag.Get("size") != "":
		n := map[string]int{"16": 16, "32": 32, "64": 64}[sf.Tag.Get("size")]
		v.SetBytes(make([]byte, n))
	case enum != "" && sf.Type.Kind() == reflect.String:
		v.SetString(enum)
	case enum != "" && sf.Type.Kind() == reflect.Slice:
		v.Set(reflect.ValueOf([]string{enum}))
	default:
		v.Set(sample(sf.Type))
	}
}
