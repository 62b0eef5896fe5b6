// Package ownfile keeps what is one program's own from others on the machine: its
// directory, its secrets, and the lock that lets one of it run at a time.
package ownfile

import "errors"

// ErrLocked means that another process has the lock.
var ErrLocked = errors.New("locked by another process")
