package service

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// Reloader puts a changed configuration file in force in a process that runs,
// as far as that can be done.
type Reloader[C any] struct {
	Live  []string          // keys that need no restart; one that is a section's covers the section
	Read  func() (C, error) // reads and validates the file
	Apply func(C) error     // puts Live's keys in force, all or none
	Log   *zap.Logger

	started, applied C
}

// NewReloader is for a process that started with c.
func NewReloader[C any](c C, r Reloader[C]) *Reloader[C] {
	r.started, r.applied = c, c
	return &r
}

// Reload reads the file. If anything is wrong with it nothing changes. The log
// has what does, and what has to wait for a restart.
func (r *Reloader[C]) Reload() {
	next, err := r.Read()
	if err == nil {
		err = r.Apply(next)
	}
	if err != nil {
		r.Log.Error("the configuration is not reloaded: what was in force goes on", zap.Error(err))
		return
	}
	var now, later []string
	for _, key := range Changed(r.applied, next) {
		if r.live(key) {
			now = append(now, key)
		}
	}
	for _, key := range Changed(r.started, next) {
		if !r.live(key) {
			later = append(later, key)
		}
	}
	r.applied = next
	r.Log.Info("configuration reloaded", zap.Strings("changed", now))
	if len(later) > 0 {
		r.Log.Warn("changed settings need a restart", zap.Strings("needs_restart", later))
	}
}

func (r *Reloader[C]) live(key string) bool {
	return slices.ContainsFunc(r.Live, func(l string) bool { return key == l || strings.HasPrefix(key, l+".") })
}

// Changed are the keys, section.key, whose values differ between two
// configurations of one type.
func Changed[C any](a, b C) []string {
	var out []string
	changed(reflect.ValueOf(a), reflect.ValueOf(b), "", &out)
	return out
}

func changed(a, b reflect.Value, prefix string, out *[]string) {
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case name == "":
			panic(fmt.Sprintf("BUG: %s.%s has no key", a.Type(), a.Type().Field(i).Name))
		case a.Field(i).Kind() == reflect.Struct && a.Field(i).Type().NumField() > 0 && a.Field(i).Type().Field(0).Tag.Get("yaml") != "":
			changed(a.Field(i), b.Field(i), prefix+name+".", out)
		case !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			*out = append(*out, prefix+name)
		}
	}
}
