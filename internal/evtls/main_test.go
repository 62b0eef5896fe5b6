package evtls_test

import (
	"os"
	"strconv"
	"testing"
)

var caDir string

func TestMain(m *testing.M) {
	if addr := os.Getenv(asClients); addr != "" {
		n, err := strconv.Atoi(os.Args[1])
		if err == nil {
			err = beClients(addr, n)
		}
		if err != nil {
			panic(err)
		}
		return
	}
	var err error
	if caDir, err = os.MkdirTemp("", "evtls"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(caDir)
	os.Exit(code)
}
