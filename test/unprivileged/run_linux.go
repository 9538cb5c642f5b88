package unprivileged

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Run calls f, in a goroutine of its own, on a thread without the capabilities by which root reads and
// writes every file. What f starts in other goroutines has them.
func Run(t testing.TB, f func()) {
	t.Helper()
	if err := on(func() error { return drop(unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH) }, f); err != nil {
		t.Fatalf("drop capabilities: %v", err)
	}
}

// As calls f, in a goroutine of its own, on a thread of that user and group, and of no other group. The test must be
// root's. What f starts in other goroutines is root's.
func As(t testing.TB, user, group int, f func()) {
	t.Helper()
	become := func() error {
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, 0, 0, 0},
			{unix.SYS_SETRESGID, uintptr(group), uintptr(group), uintptr(group)},
			{unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)},
		} {
			// The calls of package syscall would be made on all threads.
			if _, _, err := unix.RawSyscall(call[0], call[1], call[2], call[3]); err != 0 {
				return err
			}
		}
		return nil
	}
	if err := on(become, f); err != nil {
		t.Fatalf("become user %d: %v", user, err)
	}
}

// on calls f on a thread that change was called on, which ends with that, unless change fails.
func on(change func() error, f func()) error {
	failed := make(chan error)
	go func() {
		defer close(failed)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := change(); err != nil {
			failed <- err
			return
		}
		f()
	}()
	return <-failed
}

// drop takes capabilities, all below 32, from the calling thread.
func drop(capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range capabilities {
		data[0].Effective &^= 1 << c
	}
	return unix.Capset(&header, &data[0])
}
