package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// ours lets the system, administrators and the owner have all there is in a
// directory, inherits nothing from above, and is inherited (SDDL, [MS-DTYP] 2.5.1).
const ours = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// MakeDir makes a directory, if it is not there, that nobody else may look into but
// administrators. One that is there keeps the rights that it has.
func MakeDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString(ours)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	a := windows.SecurityAttributes{SecurityDescriptor: sd}
	a.Length = uint32(unsafe.Sizeof(a))
	err = windows.CreateDirectory(name, &a)
	if errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return nil
	}
	return err
}

// Readable is not found out here: rights are in access control lists, of which a
// file's mode says nothing. Who makes the directory must see to them.
func Readable(fs.FileInfo) bool { return false }

// Writable is as Readable.
func Writable(fs.FileInfo) bool { return false }

// Lock locks f until it is closed, for one or for any number of readers.
func Lock(f *os.File, shared bool) error {
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// SyncDir does nothing: here is no call for it. NTFS keeps its names in a journal, so
// that after a power cut there is the old file or the new one, be it not always the
// new one.
func SyncDir(string) error { return nil }
