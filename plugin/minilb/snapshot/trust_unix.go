//go:build unix

package snapshot

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// careful are the flags to open a file that somebody else may have put there.
const careful = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// trust returns why others than we and root may have written a file, nil if they cannot. The group may write it if it is a
// volume's fsGroup, which has the pod's containers: Kubernetes sets setgid on the volume's directories.
func trust(file, directory fs.FileInfo) error {
	const byGroup, byOthers = 0o020, 0o002
	is, known := file.Sys().(*syscall.Stat_t)
	in, knownToo := directory.Sys().(*syscall.Stat_t)
	if !known || !knownToo {
		return nil
	}
	mode := file.Mode().Perm()
	switch {
	case is.Uid != 0 && int(is.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d, who is neither root nor the user %d that this runs as: chown it to that one if you know where it comes from", is.Uid, os.Geteuid())
	case mode&byOthers != 0,
		mode&byGroup != 0 && (directory.Mode()&fs.ModeSetgid == 0 || is.Gid != in.Gid || !isGroup(int(is.Gid))):
		return fmt.Errorf("others than its owner may write it, as its mode is %04o: chmod go-w it if you know where it comes from", mode)
	}
	return nil
}

func isGroup(gid int) bool {
	groups, _ := os.Getgroups() // none if that fails
	return gid == os.Getegid() || slices.Contains(groups, gid)
}
