//go:build linux

package realcluster

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// sweep waits for the end of its standard input and then removes the lab's cgroups and directory, which have the same
// name. Their processes and mounts have ended by then, or are about to.
const sweep = `
while read -r _; do :; done
tries=0
while [ -e "$1" ] && [ $tries -lt 100 ]; do
	tries=$((tries + 1))
	find /sys/fs/cgroup -depth -type d -path "*/${1##*/}*" -exec rmdir {} + 2>/dev/null || { sleep 0.1; continue; }
	rm -rf -- "$1" 2>/dev/null
	sleep 0.1
done
[ ! -e "$1" ] || { echo "cannot remove $1, or the cgroups of its containers" >&2; exit 1; }
`

// janitor is a child process that outlives us and then cleans up, whatever becomes of us.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func startJanitor(dir string) (*janitor, error) {
	cmd := exec.Command("/bin/sh", "-c", sweep, "janitor", filepath.Clean(dir))
	// Not in our process group: what interrupts us must not interrupt it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to the janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the janitor of %s: %w", dir, err)
	}
	return &janitor{cmd, pipe}, nil
}

// stop cleans up at once.
func (j *janitor) stop() error {
	if err := j.pipe.Close(); err != nil {
		return err
	}
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("remove what the nodes wrote: %w", err)
	}
	return nil
}
