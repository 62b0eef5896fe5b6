package evtls_test

import (
	"os"
	"testing"
)

var caDir string

func TestMain(m *testing.M) {
	var err error
	if caDir, err = os.MkdirTemp("", "evtls"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(caDir)
	os.Exit(code)
}
