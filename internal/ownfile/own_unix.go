//go:build unix

package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// MakeDir makes a directory, if it is not there, that nobody else may look into.
func MakeDir(path string) error { return os.MkdirAll(path, 0o700) }

// Readable reports whether others may read the file.
func Readable(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// Writable reports whether others may write to the directory.
func Writable(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// Lock locks f until it is closed, for one or for any number of readers.
func Lock(f *os.File, shared bool) error {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// SyncDir has the names in a directory on disk before it returns.
func SyncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
