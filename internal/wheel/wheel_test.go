package wheel_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trunkline/internal/wheel"
)

const tick = 250 * time.Millisecond

// Each of many timers, near and far, is called once, in time.
func TestTimersAreCalledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		start := time.Now()
		called := 0
		for range 2000 {
			after := rand.N(5 * time.Minute)
			w.Set(&wheel.Timer{Do: func() {
				called++ // calls are one after the other
				if late := time.Since(start) - after; late < 0 || late > tick {
					t.Errorf("after %v: late by %v", after, late)
				}
			}}, after)
		}
		time.Sleep(5*time.Minute + tick)
		synctest.Wait()
		if called != 2000 {
			t.Errorf("%d of 2000 were called", called)
		}
	})
}

// Some are moved, some stopped: what counts is the last word.
func TestTheLastWordCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		type watch struct {
			timer wheel.Timer
			due   time.Time // zero: never
		}
		all := make([]watch, 500)
		for i := range all {
			x := &all[i]
			x.timer.Do = func() {
				if late := time.Since(x.due); late < 0 || late > tick {
					t.Errorf("late by %v", late)
				}
				x.due = time.Time{}
			}
		}
		for range 5000 {
			x := &all[rand.IntN(len(all))]
			switch rand.IntN(3) {
			case 0:
				if set := !x.due.IsZero(); w.Stop(&x.timer) != set {
					t.Errorf("set: %v", set)
				}
				x.due = time.Time{}
			default:
				after := rand.N(2 * time.Minute)
				x.due = time.Now().Add(after)
				w.Set(&x.timer, after)
			}
			time.Sleep(rand.N(20 * time.Millisecond))
			synctest.Wait()
		}
		time.Sleep(2*time.Minute + tick)
		synctest.Wait()
		for i := range all {
			if !all[i].due.IsZero() {
				t.Error("one was not called")
			}
		}
	})
}

// A timer that sets itself again is how pings are made.
func TestATimerCanSetItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		var ping wheel.Timer
		n := 0
		ping.Do = func() {
			if n++; n < 10 {
				w.Set(&ping, time.Second)
			}
		}
		w.Set(&ping, time.Second)
		time.Sleep(10*time.Second + 10*tick)
		synctest.Wait()
		if n != 10 {
			t.Errorf("%d calls", n)
		}
		// Nothing is set now: if the wheel still turned, the bubble would see.
		time.Sleep(time.Hour)
		w.Set(&ping, 0)
		time.Sleep(2 * tick)
		synctest.Wait()
		if n != 11 {
			t.Errorf("%d calls after an hour at rest", n)
		}
	})
}

// One that is due in the same tick can be stopped by the one before it.
func TestStopByATimerOfTheSameTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		var second wheel.Timer
		second.Do = func() { t.Error("it was called") }
		w.Set(&wheel.Timer{Do: func() {
			if !w.Stop(&second) {
				t.Error("it was not set")
			}
		}}, time.Second)
		w.Set(&second, time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
	})
}

func TestUseFromEverywhere(t *testing.T) {
	w := wheel.New(time.Millisecond)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var x wheel.Timer
			done := make(chan struct{}, 1)
			x.Do = func() { done <- struct{}{} }
			for range 100 {
				w.Set(&x, rand.N(3*time.Millisecond))
				if rand.IntN(2) > 0 && w.Stop(&x) {
					continue
				}
				<-done
			}
		})
	}
	wg.Wait()
}

func TestSettingAllocatesNothing(t *testing.T) {
	w := wheel.New(time.Hour)
	var x wheel.Timer
	w.Set(&x, time.Hour)
	if n := testing.AllocsPerRun(100, func() { w.Set(&x, time.Hour); w.Stop(&x); w.Set(&x, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	w.Stop(&x)
}

func BenchmarkSet(b *testing.B) {
	w := wheel.New(tick)
	many := make([]wheel.Timer, 10_000)
	for i := range many {
		w.Set(&many[i], time.Hour+rand.N(time.Minute))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		w.Set(&many[i%len(many)], time.Hour+time.Duration(i))
		i++
	}
	for i := range many {
		w.Stop(&many[i])
	}
}
