package coding_test

import (
	"bytes"
	"io"
	"testing"
)

func newReader(s string) *bytes.Reader { return bytes.NewReader([]byte(s)) }

// drain is a portal that reads all that it is asked.
func drain(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
