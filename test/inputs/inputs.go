// Package inputs tells go test of files that a test's outcome depends on and that only other programs
// read: what go build compiles of other packages, what Helm renders. Without that go test takes the
// outcome of before from its cache when they have changed.
package inputs

import (
	"io/fs"
	"path/filepath"
)

// Note takes note of all files below a directory of this module, but for those in git's own, which are
// many. go test compares their sizes and times of modification.
func Note(dir string) error {
	return filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}
		return err // go test takes note of what is opened, which each directory is here
	})
}
