package tunnel_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"trunkline/internal/fault"
	"trunkline/internal/tunnel"
)

// The vector is for other implementations; it must never change in version 1.
func TestProofVector(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	got := hex.EncodeToString(tunnel.Proof(key, []byte(strings.Repeat("e", 32)), "header.claims.signature"))
	doc, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.ReplaceAll(string(doc), "\n      ", ""), got) {
		t.Errorf("PROTOCOL.md does not have %s", got)
	}
}

// Codes named in PROTOCOL.md exist.
func TestProtocolNamesRealCodes(t *testing.T) {
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]bool)
	for _, c := range fault.Codes() {
		codes[string(c)] = true
	}
	notCodes := map[string]bool{
		"visit_end": true, "end_visit": true, "idle_s": true, "auto_logout": true, "ping_ms": true, "retry_ms": true, "deadline_ms": true, "within_ms": true, "close_notify": true,
	}
	for i, quoted := range strings.Split(string(b), "`") {
		if i%2 == 1 && strings.Contains(quoted, "_") && strings.Trim(quoted, "abcdefghijklmnopqrstuvwxyz_") == "" && !codes[quoted] && !notCodes[quoted] {
			t.Errorf("no such code: %s", quoted)
		}
	}
}
