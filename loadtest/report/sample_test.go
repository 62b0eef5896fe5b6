package report_test

import (
	"math"
	"math/rand/v2"
	"time"

	"trunkline/loadtest/result"
)

var began = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)

// sampleRun is a run of a minute in which a relay is killed at half time.
type sampleRun struct {
	seed    uint64
	slower  float64 // factor of every latency
	failing int     // every so many requests fails; 0: none
	calm    bool    // nothing is killed
}

func (s sampleRun) result() *result.Result {
	const seconds = 120
	rnd := rand.New(rand.NewPCG(s.seed, 1))
	rec := result.NewRecorder(began, time.Second)
	browse, bulk := rec.Kind("browse"), rec.Kind("bulk")
	if s.slower == 0 {
		s.slower = 1
	}
	r := &result.Result{
		Schema: result.Schema, Tool: result.Tool{Version: "v1.4.0-12-gabcdef", Go: "go1.26.8"},
		Machine:  result.Machine{OS: "linux 6.1", Arch: "amd64", CPU: "AMD EPYC 7B13", CPUs: 8, Memory: 16 << 30},
		Scenario: result.Scenario{Name: "storm", Text: "# A relay is killed.\nname: storm\ndevices: 500\n"},
		Began:    began, Ended: began.Add(seconds * time.Second), WarmUp: 10, Step: 1,
		Relays:     []result.Process{{Name: "r1"}, {Name: "r2"}},
		Generators: []result.Generator{{Process: result.Process{Name: "g1"}, Devices: 500}},
	}
	tunnels := 500.0
	for i := range seconds {
		slow := 1.0
		if !s.calm && i >= 60 && i < 66 {
			slow, tunnels = 40/float64(i-59), 250+float64(i-60)*50
		}
		for j := range 40 {
			due := began.Add(time.Duration(i)*time.Second + time.Duration(j)*24*time.Millisecond)
			took := time.Duration(3e6 * s.slower * slow * math.Exp(rnd.NormFloat64()/3))
			switch {
			case s.failing > 0 && (i*40+j)%s.failing == 0:
				browse.Failed(due, "status_502")
			case slow > 30 && j%3 == 0:
				browse.Failed(due, "connection_reset")
			default:
				browse.OK(due, took, 14_000)
			}
			if j%20 == 0 {
				bulk.OK(due, 100*took, 4<<20)
			}
		}
		r.Tunnels.Set(i, min(tunnels, 500))
		for n := range r.Relays {
			if n == 0 && !s.calm && i >= 60 {
				continue
			}
			r.Relays[n].CPU.Set(i, 0.3*slow/math.Max(slow/2, 1)+rnd.Float64()/20)
			r.Relays[n].Memory.Set(i, 50e6+float64(i)*3e4)
		}
		r.Generators[0].CPU.Set(i, 0.8+rnd.Float64()/10)
		r.Generators[0].Memory.Set(i, 300e6)
	}
	if !s.calm {
		r.Events = []result.Event{{At: 60, Text: "relay r1 killed", Disturbs: true}}
	}
	r.Kinds = rec.Kinds()
	conditions := []string{"browse.p99 <= 100ms", "lost == 0", "error_ratio < 0.01%"}
	if !s.calm {
		conditions = append(conditions, "recovered(95%) <= 30s")
	}
	for _, text := range conditions {
		t, err := result.ParseThreshold(text)
		if err != nil {
			panic(err)
		}
		r.Thresholds = append(r.Thresholds, t.Judge(r))
	}
	return r
}
