package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/minilb/minilb/test/daemon"
)

// Build compiles one of this project's commands, such as "./cmd/coredns", into
// the directory dir and returns the path of the binary, which is named for the
// last element of pkg. flags are further ones of go build, such as "-race".
// The caller removes dir; a test gives t.TempDir().
func Build(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	out := filepath.Join(dir, path.Base(pkg))
	args := append([]string{"build", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	if err := runBuild(cmd); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	return out, nil
}

// BuildNested compiles the program of a nested module, such as
// "test/tools/kubectl", to the path out, with the flags of the control plane.
func BuildNested(ctx context.Context, module, out string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return fmt.Errorf("build %s: %w", module, err)
	}
	c := pins{dir: filepath.Join(root, module)}
	if err := runBuild(c.goCommand(ctx, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")); err != nil {
		return fmt.Errorf("build %s: %w", module, err)
	}
	return nil
}

// runBuild runs a go build that ends with us. Its error carries what go said.
func runBuild(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = daemon.DieWithParent(&syscall.SysProcAttr{})
	// The thread that forks the child must outlive it; see daemon.Spawner.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}
