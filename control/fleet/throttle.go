package fleet

import "time"

// Throttle bounds wrong passwords.
type Throttle struct {
	Burst int           // wrong ones in a row from one address or for one e-mail
	Every time.Duration // after which one more is allowed
}
