// Package packages_test takes apart what minilb is handed out in, and runs what is in it.
package packages_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// What the packages are told that they are.
const (
	version  = "v1.2.3"
	revision = "0123456789abcdef0123456789abcdef01234567"
	epoch    = "1700000000" // 2023-11-14T22:13:20Z
)

// root is the repository's.
const root = "../.."

// platform is this machine's.
var platform = func() string {
	if runtime.GOARCH == "arm" {
		return "linux/arm/v7"
	}
	return "linux/" + runtime.GOARCH
}()

// scratch is a directory for what the tests share.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "minilb-packages-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := harness.RunTests(m)
	stopRegistry()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// tool returns the path of a tool of a nested module. It is built if it is not in Go's cache.
func tool(module, name string) (string, error) {
	path, err := output(command(filepath.Join(root, module), "go", "tool", "-n", name))
	return strings.TrimSpace(path), err
}

// delivery is where the images for this machine were brought, all at once: by what the Dockerfile runs,
// so that those who build with a daemon have the same files.
type delivery struct {
	layout  ociLayout
	rootfs  string // the files, of which the Debian package is made, too
	archive string
	push    string // name of the repository, in a registry that runs while the tests do
	printed string
}

var delivered = sync.OnceValues(func() (d delivery, err error) {
	d = delivery{layout: ociLayout(filepath.Join(scratch, "layout")), rootfs: filepath.Join(scratch, "rootfs"), archive: filepath.Join(scratch, "minilb.tar")}
	if d.push, err = startRegistry(); err != nil {
		return d, err
	}
	line, err := dockerLine()
	if err != nil {
		return d, err
	}
	cmd := command(root, "sh", "-ec", strings.ReplaceAll(line, "/rootfs", d.rootfs)+` -layout "$LAYOUT" -tarball "$ARCHIVE" -push "$PUSH"`)
	cmd.Env = append(os.Environ(), "TARGETPLATFORM="+platform, "VERSION="+version, "REVISION="+revision, "SOURCE_DATE_EPOCH="+epoch,
		"LAYOUT="+string(d.layout), "ARCHIVE="+d.archive, "PUSH="+d.push)
	d.printed, err = output(cmd)
	return d, err
})

// stopRegistry ends the registry if there is one.
var stopRegistry = func() {}

// startRegistry runs go-containerregistry's own, which keeps images in memory.
func startRegistry() (repository string, err error) {
	binary, err := tool("deploy/image", "registry")
	if err != nil {
		return "", err
	}
	server := exec.Command(binary, "-port", "0")
	said, err := server.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := server.Start(); err != nil {
		return "", err
	}
	stopRegistry = func() {
		server.Process.Kill()
		server.Wait()
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, port, found := strings.Cut(lines.Text(), "serving on port "); found {
			go io.Copy(io.Discard, said) // until it ends
			return "localhost:" + port + "/lab", nil
		}
	}
	return "", fmt.Errorf("the registry ended: %w", lines.Err())
}

// buildImages builds images of the repository in dir, and returns what is printed.
func buildImages(env []string, dir string, args ...string) (string, error) {
	cmd := command(filepath.Join(dir, "deploy/image"), "go", append([]string{"run", ".", "-version", version, "-revision", revision}, args...)...)
	cmd.Env = append(append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch), env...)
	return output(cmd)
}

func command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	return cmd
}

// output runs a command and returns what it says on standard output. Its error has the rest.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
