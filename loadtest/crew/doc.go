// Package crew is a load test of several generators: one coordinator, and
// generators in other processes that join it over NATS.
//
//	generator                        coordinator
//	join  {name, version}       -->  who it is
//	next  {how it stands}       -->  what it is to do: a part, begin, end
//	seen  {piece of a result}   -->  kept
//
// The generators ask; the coordinator is asked. So a generator needs no more
// than to be let in to the bus as a relay is. What it has seen it reports every
// few seconds: of one that is killed the rest is known, and that it was. Where
// it is the coordinator that is killed, each generator has its own part.
//
// One run at a time on one bus.
package crew

import (
	"time"

	"trunkline/loadtest"
	"trunkline/loadtest/result"
	"trunkline/loadtest/scenario"
	"trunkline/loadtest/target"
)

// Subjects on the bus.
const (
	subjectJoin = "loadtest.join"
	subjectNext = "loadtest.next"
	subjectSeen = "loadtest.seen"
)

const (
	askEvery    = 250 * time.Millisecond
	reportEvery = 5 * time.Second
	// silence is how long a generator may not ask before it counts as lost.
	silence = 10 * time.Second
	// A result goes in pieces that the bus takes.
	pieceSize = 32 << 10
	maxPieces = result.MaxSize / pieceSize
)

type joinRequest struct {
	Name    string `json:"name"`
	Version string `json:"version"` // of the program: parts that count differently make no whole
}

type joinAnswer struct {
	ID int `json:"id"`
}

// A generator's states.
const (
	stateIdle     = "idle"     // has no part yet
	stateComing   = "coming"   // its PBXs come up
	stateReady    = "ready"    // may begin
	stateRunning  = "running"  // makes the load
	stateReported = "reported" // has ended, and its result is here
	stateFailed   = "failed"   // could not do its part
)

type nextRequest struct {
	ID    int           `json:"id"`
	State string        `json:"state"`
	Error string        `json:"error,omitempty"` // of stateFailed
	Live  loadtest.Live `json:"live"`
}

type nextAnswer struct {
	Part  *part  `json:"part,omitempty"`
	Begin *begin `json:"begin,omitempty"`
	End   bool   `json:"end,omitempty"` // at once
	Bye   bool   `json:"bye,omitempty"` // there is no more to do
}

// part is what one generator does of the whole.
type part struct {
	Scenario scenario.Scenario `json:"scenario"`
	Text     string            `json:"text"`
	First    int               `json:"first"`
	Tag      string            `json:"tag"`
	Server   string            `json:"server"`
	CA       string            `json:"ca"`    // PEM; "": the system's roots
	Token    string            `json:"token"` // secret
	Ways     target.Ways       `json:"ways"`
}

// begin says when what counts begins: by the time that is left, since clocks
// differ. Began is the coordinator's, which all parts of the result have.
type begin struct {
	Within time.Duration `json:"within"` // nanoseconds
	Began  time.Time     `json:"began"`
}

// piece is one of Of pieces of a result.
type piece struct {
	ID    int    `json:"id"`
	Turn  int    `json:"turn"` // of this generator's results
	Index int    `json:"index"`
	Of    int    `json:"of"`
	Data  []byte `json:"data"` // gzip
}

type nothing struct{}
