//go:build !unix

package snapshot

import "io/fs"

// careful are the flags by which a file is opened that somebody else may have put there: there are none here.
const careful = 0

// trust reports nothing here: who may write a file is not among what its mode and owner say.
func trust(_, _ fs.FileInfo) error { return nil }
