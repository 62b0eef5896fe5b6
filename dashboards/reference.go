package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"

	"trunkline/agent"
	"trunkline/control"
	"trunkline/internal/bus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/internal/selfca"
	"trunkline/internal/service"
	"trunkline/loadtest"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
	"trunkline/loadtest/traffic"
	"trunkline/relay"
)

// family is a metric as the code registers it.
type family struct {
	name, help string
	labels     []string
	kind       string   // counter, gauge, histogram or summary; "" if it has no child at the start
	by         []string // the programs that have it
}

// programs are those with a port for metrics, in the reference's order.
var programs = []string{"control", "relay", "agent", "loadtest"}

// registered makes one of every program, runs none, and asks what each has
// registered.
func registered() ([]family, error) {
	dir, err := os.MkdirTemp("", "trunkline-metrics-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	found := make(map[string]*family)
	for _, program := range programs {
		reg := service.Registry()
		if err := build(program, dir, reg); err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
		if err := collect(found, program, reg); err != nil {
			return nil, fmt.Errorf("%s: %w", program, err)
		}
	}
	var out []family
	for _, f := range found {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b family) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

func build(program, dir string, reg *prometheus.Registry) (err error) {
	log, ctx := zap.NewNop(), context.Background()
	switch program {
	case "agent":
		cfg := agent.Default()
		cfg.Data, cfg.Admin, cfg.Page.Listen = filepath.Join(dir, "agent"), agent.AdminOff, "127.0.0.1:0"
		_, err = agent.NewService(cfg, log, reg)
		return err
	case "loadtest":
		traffic.NewMeter(result.NewRecorder(time.Now(), time.Second), reg)
		api, err := controlapi.NewClient("https://console.localhost", new(http.Client))
		if err != nil {
			return err
		}
		g, err := loadtest.NewGenerator(loadtest.Part{Scenario: scenario.Scenario{Devices: 1}}, &target.Target{API: api}, log, reg)
		if err != nil {
			return err
		}
		return g.Close()
	}
	b, err := bus.Open(ctx, bus.Config{}, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	ca, err := selfca.Open(filepath.Join(dir, "tls"), "localhost")
	if err != nil {
		return err
	}
	if program == "control" {
		cfg := control.Default()
		cfg.Data, cfg.Listen = filepath.Join(dir, "control"), "127.0.0.1:0"
		c, err := control.New(ctx, control.Options{Config: cfg, Bus: b, Certificate: ca.Certificate, Log: log, Registerer: reg})
		if err != nil {
			return err
		}
		return c.Close()
	}
	cfg := relay.Default()
	cfg.Listen = "127.0.0.1:0"
	r, err := relay.New(relay.Options{Config: cfg, Bus: b, Certificate: ca.Certificate, Log: log, Registerer: reg})
	if err != nil {
		return err
	}
	return r.Close()
}

// desc is what client_golang prints of a description; it has no other way to ask.
var desc = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{(.*?)\}, variableLabels: \{(.*)\}\}$`)

func collect(found map[string]*family, program string, reg *prometheus.Registry) error {
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); reg.Describe(descs) }()
	var wrong error
	for d := range descs {
		m := desc.FindStringSubmatch(d.String())
		if m == nil {
			wrong = errors.Join(wrong, fmt.Errorf("cannot read %s", d))
			continue
		}
		name, _ := strconv.Unquote(m[1]) // %q wrote it
		help, _ := strconv.Unquote(m[2])
		if !strings.HasPrefix(name, "trunkline_") {
			continue // Go's and the process's, which others document
		}
		f := found[name]
		if f == nil {
			f = &family{name: name, help: help}
			if m[4] != "" {
				f.labels = strings.Split(m[4], ",")
			}
			for pair := range strings.SplitSeq(m[3], ",") { // of those that never change
				if label, _, ok := strings.Cut(pair, "="); ok {
					f.labels = append(f.labels, strings.TrimSpace(label))
				}
			}
			found[name] = f
		}
		f.by = append(f.by, program)
	}
	gathered, err := reg.Gather()
	if err != nil {
		return err
	}
	for _, g := range gathered {
		if f := found[g.GetName()]; f != nil {
			f.kind = strings.ToLower(dto.MetricType_name[int32(g.GetType())])
		}
	}
	return wrong
}

// unit is what a name says of its values (prometheus.io/docs/practices/naming).
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "seconds since 1970"
	case strings.HasSuffix(name, "_seconds"):
		return "seconds"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	}
	return "a number"
}

var titles = map[string]string{"control": "Control, port 9701", "relay": "Relays, port 9702", "agent": "Agents, port 9703", "loadtest": "The load test, port 9704"}

const preface = `# Metrics

<!-- Made from the code by go run ./dashboards; a test keeps it equal. -->

What each program tells under ` + "`/metrics`" + `, in which unit, and what to do about it. No label names a device, a site, a user or a visit: there are
as many series with ten thousand devices as with ten.

Durations are native histograms with classic buckets beside them ([why](adr/0024-histograms-are-native-and-classic.md)). Counters that are split by a bounded label begin at 0, so
that a rate has the first event in it. The [dashboards](../dashboards/README.md) show all of them.

`

// reference is docs/metrics.md. It errs if notes and code are not of the same
// metrics.
func reference(families []family) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(preface)
	left := maps.Clone(notes)
	var wrong error
	for i, program := range append([]string{""}, programs...) {
		some := slices.DeleteFunc(slices.Clone(families), func(f family) bool {
			shared := len(f.by) > 1
			return i == 0 && !shared || i > 0 && (shared || f.by[0] != program)
		})
		title := "In several programs"
		if i > 0 {
			title = titles[program]
		}
		fmt.Fprintf(&b, "## %s\n\n", title)
		for _, f := range some {
			n, ok := left[f.name]
			if !ok {
				wrong = errors.Join(wrong, fmt.Errorf("%s: notes.go does not say what to do about it", f.name))
				continue
			}
			delete(left, f.name)
			wrong = errors.Join(wrong, f.write(&b, n))
		}
	}
	for name := range left {
		wrong = errors.Join(wrong, fmt.Errorf("notes.go: no program has %s", name))
	}
	b.WriteString(goAndProcess)
	b.WriteString(codes())
	return b.Bytes(), wrong
}

func (f family) write(b *bytes.Buffer, n note) error {
	kind := cmp.Or(f.kind, n.kind)
	if kind == "" && strings.HasSuffix(f.name, "_total") {
		kind = "counter"
	}
	if kind == "" {
		return fmt.Errorf("%s: it has no child at the start; notes.go must say what kind it is", f.name)
	}
	of := ""
	if len(f.by) > 1 {
		of = ", of " + strings.Join(f.by, ", ")
	}
	fmt.Fprintf(b, "### %s\n\n%s, %s%s. %s\n", f.name, kind, unit(f.name), of, f.help)
	for _, l := range f.labels {
		values := cmp.Or(n.labels[l], labels[l])
		if values == "" {
			return fmt.Errorf("%s: notes.go does not say which values the label %s has", f.name, l)
		}
		fmt.Fprintf(b, "\n- `%s`: %s", l, values)
	}
	if len(f.labels) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "\n%s\n\n", n.do)
	return nil
}

const goAndProcess = `## Go and the process

Every program has ` + "`go_*` and `process_*`" + ` as [client_golang](https://pkg.go.dev/github.com/prometheus/client_golang/prometheus/collectors) makes them; the dashboards
use ` + "`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds`, `go_goroutines`, `go_memstats_heap_inuse_bytes` and `go_gc_duration_seconds`" + `.

`

// codes lists what the label code can be.
func codes() string {
	var list []string
	for _, c := range fault.Codes() {
		list = append(list, "`"+string(c)+"`")
	}
	slices.Sort(list)
	return "## Codes\n\nThe label `code` has the codes of the API, the error pages and the log: " + strings.Join(list, ", ") + ".\n"
}
