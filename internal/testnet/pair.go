package testnet

import (
	"path/filepath"
	"time"

	"trunkline/agent"
	"trunkline/agent/standby"
	"trunkline/internal/id"
	"trunkline/internal/pbxsim"
)

// Twins are two PBXs in hot standby, known to control; their agents do not run
// yet.
type Twins struct {
	*pbxsim.Pair
	Primary, Secondary *PBX
	PrimaryPortal      *pbxsim.Portal
	SecondaryPortal    *pbxsim.Portal
	Facts              map[id.Serial]string // the file that each agent watches
}

// Pair makes twins. The primary is active.
func (w *World) Pair(primary, secondary id.Serial) *Twins {
	w.T.Helper()
	dir := w.T.TempDir()
	t := &Twins{Facts: make(map[id.Serial]string)}
	portal := func(sn id.Serial) *pbxsim.Portal {
		t.Facts[sn] = filepath.Join(dir, string(sn)+".json")
		return w.Portal(func(c *pbxsim.Config) { c.Serial, c.FactsFile = string(sn), t.Facts[sn] })
	}
	t.PrimaryPortal, t.SecondaryPortal = portal(primary), portal(secondary)
	var err error
	if t.Pair, err = pbxsim.NewPair(t.PrimaryPortal, t.SecondaryPortal); err != nil {
		w.T.Fatal(err)
	}
	member := func(sn id.Serial, at *pbxsim.Portal) *PBX {
		s := standby.Default()
		s.File, s.Every = t.Facts[sn], 500*time.Millisecond
		p, err := w.activate(agent.Activation{Email: w.email, Password: w.password, Serial: sn, Portal: at.URL(), Standby: s})
		if err != nil {
			w.T.Fatal(err)
		}
		return p
	}
	t.Primary, t.Secondary = member(primary, t.PrimaryPortal), member(secondary, t.SecondaryPortal)
	return t
}

// Run starts both agents.
func (t *Twins) Run() {
	t.Primary.Run()
	t.Secondary.Run()
}
