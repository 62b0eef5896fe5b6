package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Use is what a process has used: CPU time since its start, and resident memory
// in bytes, now and at most. Peak is 0 where the process is not on this machine.
type Use struct {
	CPU    time.Duration
	Memory int64
	Peak   int64
}

// Relay is a relay that is watched.
type Relay struct {
	Name string
	Use  func(context.Context) (Use, error)
}

const maxMetrics = 8 << 20

// Watched is a relay whose admin listener is at base, for example
// http://127.0.0.1:9702.
func Watched(name, base string) Relay {
	return Relay{Name: name, Use: func(ctx context.Context) (Use, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		families, err := metrics(ctx, base+"/metrics")
		if err != nil {
			return Use{}, fmt.Errorf("metrics of %s: %w", name, err)
		}
		cpu, memory := families["process_cpu_seconds_total"], families["process_resident_memory_bytes"]
		if len(cpu.GetMetric()) == 0 || len(memory.GetMetric()) == 0 {
			return Use{}, fmt.Errorf("metrics of %s: those of the process are missing", name)
		}
		return Use{
			CPU:    time.Duration(cpu.Metric[0].GetCounter().GetValue() * float64(time.Second)),
			Memory: int64(memory.Metric[0].GetGauge().GetValue()),
		}, nil
	}}
}

// Metric is the value of a counter or a gauge without labels, at the URL of a
// process's metrics.
func Metric(ctx context.Context, url, name string) (float64, error) {
	families, err := metrics(ctx, url)
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	m := families[name].GetMetric()
	if len(m) != 1 {
		return 0, fmt.Errorf("metrics: %s is there %d times", name, len(m))
	}
	return m[0].GetCounter().GetValue() + m[0].GetGauge().GetValue(), nil // one of them is there
}

func metrics(ctx context.Context, url string) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxMetrics))
}

// UseOf reads what a process on this machine has used; proc(5).
func UseOf(pid int) (Use, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Use{}, err
	}
	// The second field is the command in parentheses, and may hold any of them.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system, resident = 11, 12, 21 // of those behind the command
	if len(fields) <= resident {
		return Use{}, fmt.Errorf("%s/stat: too short", dir)
	}
	number := func(i int) (n int64) {
		if err == nil {
			n, err = strconv.ParseInt(string(fields[i]), 10, 64)
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture Go runs on
	u := Use{CPU: time.Duration(number(user)+number(system)) * tick, Memory: number(resident) * int64(os.Getpagesize())}
	if err != nil {
		return Use{}, err
	}
	u.Peak, err = peakIn(dir + "/status")
	return u, err
}

// peakIn reads the most memory that a process has had resident; proc(5), VmHWM.
func peakIn(file string) (int64, error) {
	status, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, after, ok := bytes.Cut(status, []byte("\nVmHWM:"))
	fields := bytes.Fields(after)
	if !ok || len(fields) < 2 {
		return 0, fmt.Errorf("%s: no VmHWM", file)
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err
}
