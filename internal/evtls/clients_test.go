package evtls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// carried is what each of them sends, and has back.
const carried = 160 << 10

// asClients makes the test's binary be the clients, of the address it names.
const asClients = "EVTLS_TEST_CLIENTS"

func clients(t *testing.T, addr string, n int) {
	cmd := exec.Command(os.Args[0], strconv.Itoa(n))
	cmd.Env = append(os.Environ(), asClients+"="+addr)
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe() // they end when it does
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		hold.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("clients: %v", err)
		}
	})
}

// beClients opens n connections, uses each once, and keeps them.
func beClients(addr string, n int) error {
	sent := random(1, carried)
	for range n {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
		if err != nil {
			return err
		}
		defer c.Close()
		go c.Write(sent)
		got := make([]byte, carried)
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			return errors.New("other bytes came")
		}
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
