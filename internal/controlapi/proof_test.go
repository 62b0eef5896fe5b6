package controlapi_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"trunkline/internal/controlapi"
	"trunkline/internal/id"
)

// A proof holds for exactly what it was made for.
func TestProofs(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	pub, otherPub := key.Public().(ed25519.PublicKey), other.Public().(ed25519.PublicKey)
	const sn, device = id.Serial("SN-0001"), id.Device("dev_0123456789abcdef")
	nonce := []byte("0123456789abcdef")
	activation, renewal := controlapi.ActivationProof(key, sn), controlapi.RenewalProof(key, device, nonce)
	for name, c := range map[string]struct{ got, want bool }{
		"activation":               {controlapi.VerifyActivationProof(pub, sn, activation), true},
		"activation of another SN": {controlapi.VerifyActivationProof(pub, "SN-0002", activation), false},
		"activation, other key":    {controlapi.VerifyActivationProof(otherPub, sn, activation), false},
		"activation, short key":    {controlapi.VerifyActivationProof(pub[:31], sn, activation), false},
		"activation, short proof":  {controlapi.VerifyActivationProof(pub, sn, activation[:63]), false},
		"activation, no proof":     {controlapi.VerifyActivationProof(pub, sn, nil), false},
		"renewal":                  {controlapi.VerifyRenewalProof(pub, device, nonce, renewal), true},
		"renewal, other nonce":     {controlapi.VerifyRenewalProof(pub, device, nonce[1:], renewal), false},
		"renewal, other device":    {controlapi.VerifyRenewalProof(pub, device+"0", nonce, renewal), false},
		"renewal, other key":       {controlapi.VerifyRenewalProof(otherPub, device, nonce, renewal), false},
		"renewal as activation":    {controlapi.VerifyActivationProof(pub, id.Serial(device), renewal), false},
		"renewal, no key":          {controlapi.VerifyRenewalProof(nil, device, nonce, renewal), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}
