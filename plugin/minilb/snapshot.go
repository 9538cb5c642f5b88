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
	// contactTimeout is how long an API server that can be reached may take to answer anything.
	contactTimeout = 500 * time.Millisecond
	// publishTimeout bounds the wait until the content of a snapshot is in the index.
	publishTimeout = 5 * time.Second
)

// snapshotPath returns the absolute path of a file, relative to that of plugin root, or an error if none can be written there.
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

// latest reports whether no other cluster with the same file was started later, by the load that replaces this one's.
func (cl *cluster) latest() bool {
	return !slices.ContainsFunc(clusters.all(), func(other *cluster) bool { return cl.shares(other) && other.started.After(cl.started) })
}

// shares reports whether a cluster of another load has the same file.
func (cl *cluster) shares(other *cluster) bool {
	return other != cl && cl.snapshot != "" && other.snapshot == cl.snapshot
}

// flush has the load before write its state, so that this one can serve it. The file is outdated if the
// load before knows more than it could write, or serves the same cluster and has another file or none.
func (cl *cluster) flush() {
	for _, other := range clusters.all() {
		if cl.shares(other) {
			_, err := other.translators.Snapshot.Flush()
			cl.outdated = err != nil || !other.translators.Snapshot.Clean() || cl.outdated
		} else if other.load != cl.load && other.clusterKey == cl.clusterKey && other.synced() {
			cl.outdated = true
		}
	}
}

// restore serves the snapshot as soon as the API server turns out not to answer, at the deadline if it
// answers too slowly, and not at all if it answers in time. It returns until when to wait for the index.
func (cl *cluster) restore(m *Minilb, deadline time.Time) time.Time {
	const poll = 10 * time.Millisecond
	if cl.snapshot == "" || cl.outdated {
		return deadline
	}
	mayAnswer := func() bool {
		return !cl.translators.Unreachable() && (time.Since(cl.started) < contactTimeout || !cl.translators.NeverAnswered())
	}
	for mayAnswer() && time.Now().Before(deadline) {
		if m.index.Synced() {
			return deadline
		}
		time.Sleep(poll)
	}
	if cl.translators.Restore() {
		if published := time.Now().Add(publishTimeout); published.After(deadline) {
			return published
		}
	}
	return deadline
}
