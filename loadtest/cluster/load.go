package cluster

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"trunkline/internal/controlapi"
	"trunkline/internal/fault"
	"trunkline/loadtest/clock"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/traffic"
)

// Kinds of what staff do in the console, beside the kinds of traffic.
const (
	signIn = "sign_in"
	list   = "list"
)

// readRate is how fast a long download is read, in bytes a second: so fast that most of
// it fits into no buffer on its way.
const readRate = 512 << 10

// step is how finely it is told when something went wrong.
const step = 500 * time.Millisecond

// streams is the steady load: what visitors do, in an open loop.
func streams(devices int, download time.Duration) []scenario.Traffic {
	few := min(1, float64(devices)/200) // of what a small fleet needs less of
	return []scenario.Traffic{
		{Kind: scenario.Page, Rate: 40*few + 10, Size: 1 << 10},
		{Kind: scenario.Slow, Rate: 0.4*few + 0.1, Size: scenario.Size(download.Seconds() * readRate), ReadRate: readRate},
		{Kind: scenario.Upload, Rate: 0.8*few + 0.2, Size: 256 << 10},
		{Kind: scenario.WebSocket, Open: int(16*few) + 4, Every: 2 * time.Second, Size: 64},
		{Kind: scenario.Activate, Rate: 0.5},
	}
}

// load is the steady load while one thing fails.
type load struct {
	recorder *result.Recorder
	losses   losses
	began    time.Time
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// timeout of one request. A visitor waits as long: browsers do for minutes.
const timeout = time.Minute

func startLoad(ctx context.Context, s *Scene) *load {
	l, t, g := &load{began: time.Now()}, s.Target, s.Generator
	l.recorder = result.NewRecorder(l.began, step)
	ctx, l.stop = context.WithCancel(ctx)
	meter := traffic.NewMeter(l.recorder, prometheus.NewRegistry())
	meter.Lost, meter.Closed = l.losses.add, l.losses.close
	work := &traffic.Load{Sites: g.Sites(), Timeout: timeout, Meter: meter, Log: s.o.Log, Activate: g.Activate}
	hard := context.WithoutCancel(ctx) // what is under way comes to its end
	l.done.Go(func() { work.Run(ctx, hard, streams(len(g.PBXs()), s.Scale.Download), l.began.Add(time.Hour)) })
	l.done.Go(func() { l.repeat(ctx, signIn, 2*time.Second, t.SignInAgain) })
	l.done.Go(func() {
		l.repeat(ctx, list, time.Second, func(ctx context.Context) error {
			_, err := t.API.Devices(ctx, controlapi.DeviceQuery{})
			return err
		})
	})
	return l
}

// repeat does something about once in every so long.
func (l *load) repeat(ctx context.Context, kind string, every time.Duration, do func(context.Context) error) {
	k := l.recorder.Kind(kind)
	var wg sync.WaitGroup
	defer wg.Wait()
	for due := time.Now(); clock.Until(ctx, due); due = due.Add(every/2 + rand.N(every)) {
		wg.Go(func() {
			once, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
			defer cancel()
			if err := do(once); err != nil {
				k.Failed(due, codeOf(err))
				return
			}
			k.OK(due, time.Since(due), 0)
		})
	}
}

// codeOf is what control said, or that it said nothing.
func codeOf(err error) string {
	if code := fault.CodeOf(err); code != fault.Internal {
		return string(code)
	}
	return "no_answer"
}

// failures is how many requests have failed until now.
func (l *load) failures() (n int64) {
	for _, k := range l.recorder.Kinds() {
		for _, t := range k.Steps {
			n += t.Failed()
		}
	}
	return n
}

// end lets what is under way come to its end.
func (l *load) end() map[string]*result.Kind {
	l.stop()
	l.done.Wait()
	return l.recorder.Kinds()
}
