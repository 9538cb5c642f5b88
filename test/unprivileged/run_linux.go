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
	failed := make(chan error)
	go func() {
		defer close(failed)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := drop(unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH); err != nil {
			failed <- err
			return
		}
		f()
	}()
	if err := <-failed; err != nil {
		t.Fatalf("drop capabilities: %v", err)
	}
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
