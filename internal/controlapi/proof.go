package controlapi

import (
	"crypto/ed25519"

	"trunkline/internal/id"
)

// What a device's key signs. The prefixes keep a signature made for one
// purpose from serving another, and name a version of the form.
const (
	activatePrefix = "trunkline activate 1\x00"
	renewPrefix    = "trunkline renew 1\x00"
)

// ActivationProof shows that whoever activates sn holds the private half of
// the key it hands in: a signature over the serial number and the public key.
func ActivationProof(priv ed25519.PrivateKey, sn id.Serial) []byte {
	return ed25519.Sign(priv, activationMessage(priv.Public().(ed25519.PublicKey), sn))
}

// VerifyActivationProof reports whether proof is ActivationProof of pub's key.
func VerifyActivationProof(pub ed25519.PublicKey, sn id.Serial, proof []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, activationMessage(pub, sn), proof)
}

// RenewalProof asks for a new pass: a signature over the device and a nonce
// of the asker's choice.
func RenewalProof(priv ed25519.PrivateKey, device id.Device, nonce []byte) []byte {
	return ed25519.Sign(priv, renewalMessage(device, nonce))
}

// VerifyRenewalProof reports whether proof is RenewalProof of pub's key.
func VerifyRenewalProof(pub ed25519.PublicKey, device id.Device, nonce, proof []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, renewalMessage(device, nonce), proof)
}

func activationMessage(pub ed25519.PublicKey, sn id.Serial) []byte {
	m := append([]byte(activatePrefix), sn...)
	m = append(m, 0)
	return append(m, pub...)
}

func renewalMessage(device id.Device, nonce []byte) []byte {
	m := append([]byte(renewPrefix), device...)
	m = append(m, 0)
	return append(m, nonce...)
}
