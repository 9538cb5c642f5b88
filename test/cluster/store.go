package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// reportInterval is the time between two lines about a build that runs.
	reportInterval = 15 * time.Second

	// lockInterval is the time between two attempts to take the lock.
	lockInterval = 100 * time.Millisecond
)

// store is a directory of binaries, each built once by whoever needs it first,
// be it another process. A binary appears in it complete or not at all.
type store struct {
	dir string
	log io.Writer // is told about what takes long
}

// get returns the path of a binary and calls build if there is none yet.
func (s *store) get(ctx context.Context, name, version string, build func(ctx context.Context, out string) error) (string, error) {
	path := filepath.Join(s.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache of binaries: %w", err)
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	// Whoever held the lock before us may have built it.
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}

	// Nobody else writes to this name while we hold the lock.
	unfinished := path + ".unfinished"
	done := s.report("building %s %s (once, a few minutes)", name, version)
	err = build(ctx, unfinished)
	done()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build %s: %w", name, err), removeIfExists(unfinished))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return "", fmt.Errorf("keep the new %s: %w", name, err)
	}
	return path, nil
}

// lock takes the store's lock, which the kernel releases if we die.
func (s *store) lock(ctx context.Context, name string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	// Closing the only descriptor of it releases the lock.
	unlock = func() { file.Close() }

	take := func() error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	if err = take(); err == nil {
		return unlock, nil
	}
	defer s.report("waiting for %s from another process that builds", name)()
	for {
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			unlock()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-time.After(lockInterval):
			err = take()
		case <-ctx.Done():
			unlock()
			return nil, fmt.Errorf("wait for the build of %s: %w", name, context.Cause(ctx))
		}
	}
}

// report says what is going on, at once and then with the time it has taken so
// far, until the function it returns is called.
func (s *store) report(format string, args ...any) (done func()) {
	start := time.Now()
	what := fmt.Sprintf(format, args...)
	fmt.Fprintf(s.log, "minilb: %s …\n", what)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(reportInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(s.log, "minilb: %s … %v elapsed\n", what, time.Since(start).Round(time.Second))
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

func removeIfExists(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
