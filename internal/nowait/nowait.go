// Package nowait makes system calls that do not wait, and does not tell the
// scheduler of them.
//
// The syscall package announces each call, so that others get the processor if
// it waits. The first such call after a pause wakes the runtime's monitor
// (sysmon), which then looks around every 20 us until it finds nothing for a
// while: at one connection it took a sixth of the relay's CPU time, and each
// wake a futex. A socket that does not block needs none of that.
package nowait
