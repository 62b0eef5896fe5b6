// Package program runs another program of this machine's once: bounded in time
// and in what it says, and alone, so that what it has started ends with it where
// the system can do that. It is no shell, and knows nothing of what is run.
package program
