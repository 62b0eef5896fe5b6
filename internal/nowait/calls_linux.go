//go:build !race

package nowait

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read is read(2) of a descriptor that does not block.
func Read(fd int, b []byte) (int, error) { return call(unix.SYS_READ, fd, b) }

// Write is write(2) to a descriptor that does not block.
func Write(fd int, b []byte) (int, error) { return call(unix.SYS_WRITE, fd, b) }

// Writev is writev(2) of bs to a descriptor that does not block. v is room for as
// many.
func Writev(fd int, bs [][]byte, v []unix.Iovec) (int, error) {
	v = v[:len(bs)]
	for i, b := range bs {
		v[i].Base = unsafe.SliceData(b)
		v[i].SetLen(len(b))
	}
	n, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)))
	clear(v)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func call(number uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Poll is epoll_wait(2) without a wait.
func Poll(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
