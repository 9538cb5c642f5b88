//go:build linux

package realcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// podShares are the CPU shares of all containers together, as those of kubepods on a machine with two CPUs for each of two
// nodes; a process of the machine's has 1024. A container's own shares are some hundredths, by the requests of its pod: beside
// any process it would get next to nothing.
const podShares = "4096"

// makePodCgroup makes the cgroup of the containers, if the machine has version 1 of cgroups.
func makePodCgroup(name string) error {
	const controller = "/sys/fs/cgroup/cpu"
	if _, err := os.Stat(filepath.Join(controller, "cpu.shares")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	dir := filepath.Join(controller, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make the containers' cgroup: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.shares"), []byte(podShares), 0); err != nil {
		return fmt.Errorf("give the containers' cgroup its shares: %w", err)
	}
	return nil
}
