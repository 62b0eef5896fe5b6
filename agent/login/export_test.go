package login

import "time"

func InputValueForTest(page []byte, name string) (string, bool) { return inputValue(page, name) }

// PatienceForTest is a Signer's.
type PatienceForTest struct{ p patience }

func (p *PatienceForTest) May(password string, now time.Time) error { return p.p.may(password, now) }

func (p *PatienceForTest) Heard(password string, in bool, now time.Time) {
	p.p.heard(password, in, now)
}
