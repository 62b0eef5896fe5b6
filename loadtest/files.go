package loadtest

import (
	"fmt"
	"syscall"

	"trunkline/loadtest/scenario"
)

// enoughFiles reports that this process may not open as many files as its PBXs
// and visitors need, after it has tried to be allowed to.
func enoughFiles(s scenario.Scenario) error {
	// A PBX has its tunnel and its lock; a visitor a few connections, which end
	// in this process again, at the portal.
	need := uint64(2*s.Devices + 20*s.Visits + 500)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur >= need {
		return err
	}
	was := l.Cur
	l.Cur, l.Max = need, max(l.Max, need)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d PBXs and their visitors need %d open files, and %d are allowed; raise `ulimit -n`, or share the PBXs between several generators", s.Devices, need, was)
	}
	return nil
}
