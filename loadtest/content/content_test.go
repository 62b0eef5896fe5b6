package content_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"trunkline/loadtest/content"
	"trunkline/loadtest/result"
)

var mine = content.ID{Device: 7, Object: 3}

func bytesOf(t testing.TB, id content.ID, size int64) []byte {
	t.Helper()
	b, err := io.ReadAll(content.Reader(id, size))
	if err != nil || int64(len(b)) != size {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	return b
}

// What is done to a transfer is found, and by its name.
func TestFound(t *testing.T) {
	const cell = 1 << 10
	const size = 20*cell + 100
	sent := bytesOf(t, mine, size)
	for name, c := range map[string]struct {
		arrived []byte
		ended   bool
		want    result.Checked
	}{
		"as it was":     {sent, true, result.Checked{Bytes: size}},
		"cut short":     {sent[:5*cell+9], true, result.Checked{Bytes: 5*cell + 9, Lost: size - 5*cell - 9}},
		"broken off":    {sent[:5*cell], false, result.Checked{Bytes: 5 * cell}},
		"nothing came":  {nil, true, result.Checked{Lost: size}},
		"a hole":        {slices.Concat(sent[:3*cell], sent[6*cell:]), true, result.Checked{Bytes: size - 3*cell, Lost: 3 * cell}},
		"twice":         {slices.Concat(sent[:4*cell], sent[2*cell:]), true, result.Checked{Bytes: size, Duplicated: 2 * cell}},
		"one bit":       {flipped(sent, 2*cell+500), true, result.Checked{Bytes: size - cell, Corrupted: cell}},
		"another PBX's": {bytesOf(t, content.ID{Device: 8, Object: 3}, size), true, result.Checked{Corrupted: size}},
		"another file":  {bytesOf(t, content.ID{Device: 7, Object: 4}, size), true, result.Checked{Corrupted: size}},
		"too much":      {bytesOf(t, mine, size+cell), true, result.Checked{Bytes: size, Duplicated: cell}},
	} {
		check := content.NewChecker(mine, size)
		for part := range slices.Chunk(c.arrived, 777) {
			_, _ = check.Write(part)
		}
		if got := check.Sum(c.ended); got != c.want || check.Received() != int64(len(c.arrived)) {
			t.Errorf("%s: %+v of %d bytes, want %+v", name, got, check.Received(), c.want)
		}
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// Whatever arrives, no more is called good than there is, and nothing that came
// goes uncounted.
func FuzzChecker(f *testing.F) {
	f.Add([]byte("nonsense"), int64(100))
	f.Add(bytesOf(f, mine, 3000), int64(3000))
	f.Fuzz(func(t *testing.T, arrived []byte, size int64) {
		if size < 0 || size > 1<<40 {
			t.Skip("no size of a transfer")
		}
		c := content.NewChecker(mine, size)
		_, _ = c.Write(arrived)
		got := c.Sum(true)
		if got.Bytes < 0 || got.Bytes > size || got.Lost < 0 || got.Bytes+got.Duplicated+got.Corrupted < int64(len(arrived)) {
			t.Errorf("%+v of %d bytes, where %d are due", got, len(arrived), size)
		}
	})
}
