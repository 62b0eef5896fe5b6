package service_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline/internal/service"
)

type settings struct {
	Name   string            `yaml:"name"`
	Hosts  []string          `yaml:"hosts"`
	Limits limits            `yaml:"limits"`
	Log    service.LogConfig `yaml:"log"`
	Hidden int               `yaml:"-"`
}

type limits struct {
	Rate int           `yaml:"rate"`
	Wait time.Duration `yaml:"wait"`
}

func TestChanged(t *testing.T) {
	a := settings{Name: "a", Hosts: []string{"x"}}
	b := a
	b.Hosts, b.Limits.Wait, b.Log.Level, b.Hidden = []string{"y"}, 1, "debug", 1
	if got, want := service.Changed(a, b), []string{"hosts", "limits.wait", "log.level"}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	if got := service.Changed(a, a); len(got) != 0 {
		t.Errorf("of itself: %v", got)
	}
}

func TestReload(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	var file, inForce settings
	var broken, unfit error
	r := service.NewReloader(settings{Name: "a"}, service.Reloader[settings]{
		Live: []string{"limits", "log.level"}, Log: zap.New(core),
		Read: func() (settings, error) { return file, broken },
		Apply: func(s settings) error {
			if unfit == nil {
				inForce = s
			}
			return unfit
		},
	})
	said := func(level string, field string) []any {
		t.Helper()
		for _, e := range logs.TakeAll() {
			if e.Level.String() == level {
				if field == "" {
					return []any{e.Message}
				}
				keys, ok := e.ContextMap()[field].([]any)
				if !ok {
					t.Fatalf("%v", e.ContextMap())
				}
				return keys
			}
		}
		return nil
	}

	file = settings{Name: "b", Limits: limits{Rate: 1}}
	r.Reload()
	if inForce.Limits.Rate != 1 {
		t.Error("not applied")
	}
	if got := said("warn", "needs_restart"); !slices.Equal(got, []any{"name"}) {
		t.Errorf("to be restarted for: %v", got)
	}

	// What waits for a restart is named each time, what is in force is not.
	file.Log.Level = "debug"
	r.Reload()
	if got := said("info", "changed"); !slices.Equal(got, []any{"log.level"}) {
		t.Errorf("changed: %v", got)
	}
	file.Limits.Rate = 2
	r.Reload()
	if got := said("warn", "needs_restart"); !slices.Equal(got, []any{"name"}) {
		t.Errorf("to be restarted for: %v", got)
	}

	for _, err := range []*error{&broken, &unfit} {
		file.Limits.Rate = 99
		*err = errors.New("bad")
		r.Reload()
		if said("error", "") == nil || inForce.Limits.Rate != 2 {
			t.Errorf("in force: %+v", inForce)
		}
		*err = nil
	}
}
