package minilb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// silence is for how long nothing is heard of an API server that is there.
	silence = 500 * time.Millisecond
	// publishing is how long it may take to put what is in a snapshot into the index.
	publishing = 5 * time.Second
)

// snapshotPath returns where the file is that the Corefile names, from its root as in other
// plugins. What can only be a mistake is an error.
func snapshotPath(root, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	directory := filepath.Dir(path)
	switch info, err := os.Stat(directory); {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("there is no directory %s: create it, or name a file in another", directory)
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("%s is not a directory: name a file in one", directory)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file: name one, or one that is not there yet", path)
	}
	return path, nil
}

// latest reports whether no cluster that was started later has the same file: that of the load
// that takes this one's place.
func (cl *cluster) latest() bool {
	for _, other := range cl.sharing() {
		if other.started.After(cl.started) {
			return false
		}
	}
	return true
}

// sharing returns the other clusters that run and have the same file, those of other loads.
func (cl *cluster) sharing() (sharing []*cluster) {
	for _, other := range clusters.all() {
		if other != cl && cl.snapshot != "" && other.snapshot == cl.snapshot {
			sharing = append(sharing, other)
		}
	}
	return sharing
}

// flush lets the load before write what it knows, so that this one can serve it. What knows more
// than its file, as that cannot be written or a part is missing, is not to be succeeded by the file;
// nor is what serves the same cluster and has another file, or none.
func (cl *cluster) flush() {
	sharing := cl.sharing()
	for _, other := range sharing {
		if other.watcher.Flush() != nil || !other.watcher.Kept() {
			cl.outdated = true
		}
	}
	for _, other := range clusters.all() {
		if other.load != cl.load && other.clusterKey == cl.clusterKey && other.synced() && !slices.Contains(sharing, other) {
			cl.outdated = true
		}
	}
}

// restore serves the snapshot as soon as the API server turns out not to answer, at the deadline
// if it answers too slowly, and not at all if it does. It returns until when to wait for it to
// be answered with.
func (cl *cluster) restore(m *Minilb, deadline time.Time) time.Time {
	const poll = 10 * time.Millisecond
	if cl.snapshot == "" || cl.outdated {
		return deadline
	}
	for !cl.watcher.Unreachable() && (time.Since(cl.started) < silence || !cl.watcher.Silent()) && time.Now().Before(deadline) {
		if m.Ready() {
			return deadline
		}
		time.Sleep(poll)
	}
	if cl.watcher.Restore() {
		return later(deadline, time.Now().Add(publishing))
	}
	return deadline
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
