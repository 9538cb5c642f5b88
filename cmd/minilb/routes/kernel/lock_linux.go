package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDirs are root's, who alone makes something in them; the first that exists is used. It is a variable for tests.
var runDirs = []string{"/run", "/var/run"}

// lockDir returns where the locks are: the RuntimeDirectory of the unit in deploy/systemd or, without it, a
// directory that root makes.
func lockDir() string {
	for _, dir := range runDirs {
		if _, err := os.Stat(dir); err == nil {
			return filepath.Join(dir, "minilb")
		}
	}
	return filepath.Join(runDirs[0], "minilb")
}

// lock takes what no other process of this network namespace can have at the same time (R8b): of two that
// keep routes each would take away the other's, and what is cleaned up would come back. It goes with
// the process. Its file stays: who removed it would part those that have it open from those that come.
func lock() (unlock func(), err error) {
	namespace, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("find out the network namespace: %w", err)
	}
	dir := lockDir()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, unlockable(dir, err)
	}
	path := filepath.Join(dir, fmt.Sprintf("routes-%d.lock", namespace.Sys().(*syscall.Stat_t).Ino))
	// None but this user may open it: who can may lock it.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, unlockable(dir, err)
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
	return nil, unlockable(dir, &fs.PathError{Op: "flock", Path: path, Err: err})
}

// unlockable returns the error of somebody who cannot take the lock.
func unlockable(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EROFS) { // as ProtectSystem=strict has it
		return fmt.Errorf("make sure that no other \"minilb routes -apply\" runs: %w; run this as root, or have root make the directory for this user: install -d -m 700 -o USER %s, or in a unit of systemd RuntimeDirectory=%s", err, dir, filepath.Base(dir))
	}
	return fmt.Errorf("make sure that no other \"minilb routes -apply\" runs: %w", err)
}
