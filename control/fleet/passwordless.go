package fleet

import (
	"time"

	"trunkline/internal/fault"
	"trunkline/internal/token"
)

// A visit ends when nobody uses it: after visitIdle, and a passwordless one
// after what the PBX's staff set.
const (
	visitIdle = 15 * time.Minute
	minIdle   = 5 * time.Minute
	maxIdle   = 2 * time.Hour
)

// bothAgree says whether a visit to d by method is let in: without a password
// only if the provider and the PBX's staff both allow it.
func bothAgree(d Device, method string) error {
	if method != token.MethodPasswordless || d.Passwordless && d.Presence.Logins.Passwordless {
		return nil
	}
	const (
		here  = `switch on "Allow Passwordless Login to PBX" among this PBX's options in My Devices`
		there = "the PBX's staff have to switch on Passwordless Login on its Remote Management page, which says there if its agent has no way to sign visitors in"
	)
	switch {
	case d.Passwordless:
		return fault.New(fault.Forbidden, "Passwordless login is off on the PBX: %s. Until then use the account login.", there).In("method")
	case d.Presence.Logins.Passwordless:
		return fault.New(fault.Forbidden, "Passwordless login is not allowed here: %s. Until then use the account login.", here).In("method")
	}
	return fault.New(fault.Forbidden, "Passwordless login is neither allowed here nor on the PBX: %s, and %s. Until then use the account login.", here, there).In("method")
}

// idleOf is after how long without an operation a visit ends.
func idleOf(d Device, method string) time.Duration {
	set := time.Duration(d.Presence.Logins.AutoLogout) * time.Minute
	if method != token.MethodPasswordless || set == 0 {
		return visitIdle
	}
	return min(max(set, minIdle), maxIdle)
}
