package rtnl

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger calls f on a thread that is a user's who has no rights.
func stranger(t *testing.T, f func()) {
	t.Helper()
	const nobody = 65534
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, nobody, nobody, nobody}, {unix.SYS_SETRESUID, nobody, nobody, nobody}} {
			if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 { // of this thread alone
				failed <- errno
				return
			}
		}
		f()
	}()
	if err := <-failed; err != nil {
		t.Fatalf("become nobody: %v", err)
	}
}

// No other user can keep Keep and Cleanup from working, before they have run, while they do, or afterwards (R8b).
func TestLockOfStranger(t *testing.T) {
	if !host(t) {
		return
	}
	run, err := os.MkdirTemp("", "minilb-run-") // that of t.TempDir is in one that others may not enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	if err := os.Chmod(run, 0o755); err != nil { // as /run is
		t.Fatal(err)
	}
	runDirs = []string{run}
	holds := func() {
		t.Helper()
		stranger(t, func() {
			// The port of netlink that served as the lock: it is anybody's.
			if socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE); err != nil {
				t.Error(err)
			} else if err := unix.Bind(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: 0x6d696e6c}); err != nil && err != unix.EADDRINUSE {
				t.Error(err)
			}
			if os.Mkdir(lockDir(), 0o777) == nil {
				t.Error("a stranger makes the directory of the locks")
			}
			if os.Rename(lockDir(), lockDir()+"-not") == nil {
				t.Error("a stranger takes the directory of the locks away")
			}
			if _, err := lock(); err == nil || !strings.Contains(err.Error(), "permission denied; run this as root, or have root make the directory for this user: install -d -m 700 -o USER "+lockDir()) {
				t.Errorf("a stranger takes the lock: %v", err)
			}
			files, _ := filepath.Glob(filepath.Join(lockDir(), "*"))
			for _, path := range append(files, lockDir()) {
				file, err := os.Open(path)
				if err == nil {
					t.Errorf("a stranger may open %s, and so lock it", file.Name())
				}
			}
		})
	}
	holds()
	k := keep(t)
	k.want <- routes(one)
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nkeeping  1 of 1 routes in step: ip route show proto 109\n")
	holds()
	if err := Cleanup(k); err == nil || !strings.HasPrefix(err.Error(), "another ") {
		t.Errorf("Cleanup beside it: got %v", err)
	}
	k.stop(t)
	holds()
	var out bytes.Buffer
	if err := Cleanup(&out); err != nil || !strings.HasPrefix(out.String(), "removed  10.244.0.0/24 ") {
		t.Errorf("Cleanup: got %v, %s", err, &out)
	}
}

// Each network namespace has a lock of its own, wherever its processes see the same files (R8b).
func TestLockOfNamespace(t *testing.T) {
	if !host(t) {
		return
	}
	unlock, err := lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	elsewhere := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			elsewhere <- err
			return
		}
		unlock, err := lock()
		if err == nil {
			unlock()
		}
		elsewhere <- err
	}()
	if err := <-elsewhere; err != nil {
		t.Errorf("in another namespace: %v", err)
	}
	if _, err := lock(); err == nil {
		t.Error("it can be taken twice in one")
	}
}

// What is in the place of the lock and none is told, with what to do.
func TestLockImpossible(t *testing.T) {
	if !host(t) {
		return
	}
	if err := os.WriteFile(lockDir(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Keep(context.Background(), nil, nil, nil); err == nil || !strings.HasPrefix(err.Error(), "make sure that no other \"minilb routes -apply\" runs: open "+lockDir()) {
		t.Errorf("got %v", err)
	}
	runDirs = []string{filepath.Join(t.TempDir(), "none")}
	if _, err := lock(); err == nil || !strings.Contains(err.Error(), "; run this as root, or have root make") {
		t.Errorf("got %v", err)
	}
}

// Who cannot make the directory of the locks is told who can: root, or systemd for a unit, which may see all files as
// read-only ones.
func TestUnlockable(t *testing.T) {
	for _, errno := range []error{unix.EACCES, unix.EPERM, unix.ENOENT, unix.EROFS} {
		err := lockError("/run/minilb", &fs.PathError{Op: "mkdir", Path: "/run/minilb", Err: errno})
		want := "make sure that no other \"minilb routes -apply\" runs: mkdir /run/minilb: " + errno.Error() +
			"; run this as root, or have root make the directory for this user: install -d -m 700 -o USER /run/minilb, or in a unit of systemd RuntimeDirectory=minilb"
		if err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := lockError("/run/minilb", unix.EIO); err.Error() != "make sure that no other \"minilb routes -apply\" runs: input/output error" {
		t.Errorf("got %v", err)
	}
}
