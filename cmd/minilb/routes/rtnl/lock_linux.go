package rtnl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDirs are writable by root only; the first that exists is used. A variable for tests.
var runDirs = []string{"/run", "/var/run"}

// lockDir returns the directory of the locks: the RuntimeDirectory of the unit in deploy/systemd, else one that root makes.
func lockDir() string {
	first := slices.IndexFunc(runDirs, func(dir string) bool { _, err := os.Stat(dir); return err == nil })
	return filepath.Join(runDirs[max(first, 0)], "minilb")
}

// lock takes the lock that one process of this network namespace has at a time (R8b): of two that keep routes each would
// remove the other's. It ends with the process. Its file stays: if it were removed, the next process would lock another one.
func lock() (unlock func(), err error) {
	namespace, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("find the network namespace: %w", err)
	}
	dir := lockDir()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, lockError(dir, err)
	}
	path := filepath.Join(dir, fmt.Sprintf("routes-%d.lock", namespace.Sys().(*syscall.Stat_t).Ino))
	// Only this user may open it: whoever can open it can lock it.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, lockError(dir, err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		return func() { file.Close() }, nil
	}
	file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.New("another \"minilb routes -apply\" runs on this host: end it before")
	}
	return nil, lockError(dir, &fs.PathError{Op: "flock", Path: path, Err: err})
}

func lockError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EROFS) { // as ProtectSystem=strict has it
		return fmt.Errorf("make sure that no other \"minilb routes -apply\" runs: %w; run this as root, or have root make the directory for this user: install -d -m 700 -o USER %s, or in a unit of systemd RuntimeDirectory=%s", err, dir, filepath.Base(dir))
	}
	return fmt.Errorf("make sure that no other \"minilb routes -apply\" runs: %w", err)
}
