package service

import (
	"os"
	"runtime/debug"
)

// FrugalGC has the collector run when the heap has grown by half, and not only
// when it has doubled, unless the environment's GOGC says otherwise. It is for a
// program that holds much in small pieces and makes little garbage: what is made
// for long then lies closer together, and less of the heap is garbage.
func FrugalGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
