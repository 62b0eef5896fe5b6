package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const (
	issuer      = "trunkline"
	passType    = "trunkline-pass+jwt"
	maxPassSize = 4096
)

// Pass is what control says of a device. Times are whole seconds in UTC.
type Pass struct {
	ID      string
	Device  id.Device
	Site    id.Site
	Account id.Account
	Serial  id.Serial
	Key     ed25519.PublicKey // the device's
	Issued  time.Time
	Expires time.Time
}

type passClaims struct {
	Issuer  string       `json:"iss"`
	Subject id.Device    `json:"sub"`
	ID      string       `json:"jti"`
	Issued  int64        `json:"iat"`
	Expires int64        `json:"exp"`
	Site    id.Site      `json:"site"`
	Account id.Account   `json:"acc"`
	Serial  id.Serial    `json:"sn"`
	Confirm confirmation `json:"cnf"`
}

// confirmation is cnf with a jwk (RFC 7800, section 3.2; RFC 8037 for OKP).
type confirmation struct {
	JWK struct {
		Type  string `json:"kty"`
		Curve string `json:"crv"`
		X     string `json:"x"`
	} `json:"jwk"`
}

// SignPass makes the compact form of p. Issued and Expires must be set.
func SignPass(key SigningKey, p Pass) (string, error) {
	c := passClaims{
		Issuer: issuer, Subject: p.Device, ID: p.ID, Issued: p.Issued.Unix(), Expires: p.Expires.Unix(),
		Site: p.Site, Account: p.Account, Serial: p.Serial,
	}
	c.Confirm.JWK.Type, c.Confirm.JWK.Curve = "OKP", "Ed25519"
	c.Confirm.JWK.X = base64.RawURLEncoding.EncodeToString(p.Key)
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	opts := (&jose.SignerOptions{}).WithType(passType).WithHeader("kid", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key.Private}, opts)
	if err != nil {
		return "", err
	}
	sig, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return sig.CompactSerialize()
}

// VerifyPass checks raw against the key it names. Errors are faults:
// pass_invalid, pass_expired or pass_not_yet_valid.
func VerifyPass(raw string, key func(kid string) (PassKey, bool), now time.Time) (Pass, error) {
	c, err := verifiedClaims(raw, key, now)
	if err != nil {
		return Pass{}, err
	}
	pub, err := c.Confirm.key()
	if err != nil || c.Issuer != issuer {
		return Pass{}, fault.New(fault.PassInvalid, "The pass lacks what a pass has.")
	}
	p := Pass{
		ID: c.ID, Device: c.Subject, Site: c.Site, Account: c.Account, Serial: c.Serial, Key: pub,
		Issued: time.Unix(c.Issued, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC(),
	}
	switch {
	case now.After(p.Expires.Add(Leeway)):
		return Pass{}, fault.New(fault.PassExpired, "The pass expired at %s; renew it.", p.Expires.Format(time.RFC3339))
	case now.Before(p.Issued.Add(-Astray)):
		return Pass{}, fault.New(fault.PassEarly, "The pass is valid from %s, and the relay's clock says %s; set the clocks.",
			p.Issued.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return p, nil
}

func verifiedClaims(raw string, key func(string) (PassKey, bool), now time.Time) (passClaims, error) {
	if len(raw) > maxPassSize {
		return passClaims{}, fault.New(fault.PassInvalid, "The pass is too large.")
	}
	sig, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return passClaims{}, fault.New(fault.PassInvalid, "The pass is malformed.")
	}
	h := sig.Signatures[0].Protected
	if typ, _ := h.ExtraHeaders[jose.HeaderType].(string); typ != passType {
		return passClaims{}, fault.New(fault.PassInvalid, "This token is not a pass.")
	}
	k, ok := key(h.KeyID)
	if !ok {
		return passClaims{}, fault.New(fault.PassInvalid, "The pass is signed by a key this relay does not know; renew it.")
	}
	if now.After(k.NotAfter) {
		return passClaims{}, fault.New(fault.PassExpired, "The key that signed the pass has been retired; renew it.")
	}
	body, err := sig.Verify(k.Public)
	if err != nil {
		return passClaims{}, fault.New(fault.PassInvalid, "The pass is not signed by us.")
	}
	var c passClaims
	if err := json.Unmarshal(body, &c); err != nil {
		return passClaims{}, fault.New(fault.PassInvalid, "The pass lacks what a pass has.")
	}
	return c, nil
}

func (c confirmation) key() (ed25519.PublicKey, error) {
	if c.JWK.Type != "OKP" || c.JWK.Curve != "Ed25519" {
		return nil, errors.New("cnf: not an Ed25519 key")
	}
	b, err := base64.RawURLEncoding.DecodeString(c.JWK.X)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("cnf: malformed key")
	}
	return ed25519.PublicKey(b), nil
}
