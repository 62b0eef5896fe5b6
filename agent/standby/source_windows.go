package standby

import (
	"io/fs"
	"os"
)

const openFlags = os.O_RDONLY

// inode is not told here: a file of the same size and time is the same.
func inode(fs.FileInfo) uint64 { return 0 }
