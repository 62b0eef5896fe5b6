package program

import "os/exec"

// alone can do nothing: of a program that takes too long what it has started
// lives on.
func alone(*exec.Cmd) {}
