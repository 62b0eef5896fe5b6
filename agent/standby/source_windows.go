package standby

import (
	"io/fs"
	"os"
	"os/exec"
)

const openFlags = os.O_RDONLY

// inode is not told here: a file of the same size and time is the same.
func inode(fs.FileInfo) uint64 { return 0 }

// alone can do nothing: of a command that takes too long what it has started lives
// on.
func alone(*exec.Cmd) {}
