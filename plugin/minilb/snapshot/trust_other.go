//go:build !unix

package snapshot

import "io/fs"

const careful = 0

// trust trusts all files: mode and owner do not show who may write them.
func trust(_, _ fs.FileInfo) error { return nil }
