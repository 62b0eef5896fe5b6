// Package license is the installation's licence: what it grants, from when,
// until when, and the signed file that carries it. It is pure: no disk, no
// clock, no configuration.
//
// The file is two lines of text:
//
//	{"holder":"ACME","plan":"standard","connections":500,"not_before":"2026-01-01T00:00:00Z","expires":"2027-01-01T00:00:00Z"}
//	<signature>
//
// The first is a JSON object, the second the Ed25519 signature (RFC 8032),
// in padded base64 (RFC 4648, section 4), over "trunkline licence 1\n" and
// the first line without its line end. Both lines may end in CR LF, blank
// lines after them are ignored, and nothing else may follow. Members that
// this program does not know are ignored, so that newer files still load.
package license

import (
	"slices"
	"strings"
	"time"
)

// Grace is how long everything goes on after a licence has expired.
const Grace = 14 * 24 * time.Hour

// PlanTrial is the plan of an installation without a licence file, and of
// licences that are given out to try.
const PlanTrial = "trial"

// TrialConnections is what Trial grants.
const TrialConnections = 25

// License is what an installation may do. Times are UTC, in whole seconds.
type License struct {
	Holder      string    // who it was issued to
	Plan        string    // PlanTrial or the name of what was bought
	Connections int       // sites at most
	NotBefore   time.Time // zero: always
	Expires     time.Time // zero: never
	Features    []string
}

// Status in the words the console and the API show.
type Status string

const (
	Subscribed    Status = "Subscribed"
	OnTrial       Status = "Trial"
	NotSubscribed Status = "Not Subscribed"
)

// Trial is in force where there is no licence file. It never expires.
func Trial() License {
	return License{Plan: PlanTrial, Connections: TrialConnections}
}

// Status of the licence at now. It does not change during the grace time.
func (l License) Status(now time.Time) Status {
	switch {
	case now.Before(l.NotBefore), !l.Expires.IsZero() && !now.Before(l.Expires.Add(Grace)):
		return NotSubscribed
	case strings.EqualFold(l.Plan, PlanTrial):
		return OnTrial
	default:
		return Subscribed
	}
}

// InForce reports whether devices may be activated and visits begun.
func (l License) InForce(now time.Time) bool { return l.Status(now) != NotSubscribed }

// InGrace reports whether the licence has expired but goes on for now.
func (l License) InGrace(now time.Time) bool {
	return l.InForce(now) && !l.Expires.IsZero() && !now.Before(l.Expires)
}

// Has reports whether the licence names the feature.
func (l License) Has(feature string) bool { return slices.Contains(l.Features, feature) }
