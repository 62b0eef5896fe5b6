package coding_test

import (
	"bytes"
	"runtime"
	"testing"

	"trunkline/agent/coding"
)

// What a small PBX gives: for streams between two requests, and for as many
// bodies under way as may be.
func TestMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // pools give up what they had in the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	c := coder()
	const idle = 200
	var keep []*world
	add := func(n int, request, answer string) {
		for range n {
			w := newWorld(t, c, request)
			if err := w.say(answer); err != nil {
				t.Fatal(err)
			}
			w.s.out, w.s.in = bytes.Buffer{}, nil // they are the test's
			keep = append(keep, w)
		}
	}
	before := heap()
	add(idle, askZstd, plain())
	each := (heap() - before) / idle
	t.Logf("an idle stream holds %d bytes", each)
	if each > 4<<10 {
		t.Error("that is more than 4 KiB")
	}
	before = heap()
	add(coding.MaxCodingForTest, askZstd, plain()[:3000])
	if c.CodingForTest() != coding.MaxCodingForTest {
		t.Fatalf("%d are being coded", c.CodingForTest())
	}
	all := heap() - before
	t.Logf("%d bodies under way hold %d bytes", coding.MaxCodingForTest, all)
	if all > 14<<20 {
		t.Error("that is more than 14 MiB")
	}
	runtime.KeepAlive(keep)
}
