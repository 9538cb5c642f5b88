package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// The names of the components and of their binaries.
const (
	etcd                  = "etcd"
	kubeAPIServer         = "kube-apiserver"
	kubeControllerManager = "kube-controller-manager"
)

// binaries are the paths of the components by name.
type binaries map[string]string

// component says where a binary comes from.
type component struct {
	name   string
	env    string // names a path that goes before what we build, as envtest has it
	module string // pinned by test/controlplane
	pkg    string
}

const kubernetesModule = "k8s.io/kubernetes"

var components = []component{
	{etcd, "TEST_ASSET_ETCD", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"},
	{kubeAPIServer, "TEST_ASSET_KUBE_APISERVER", kubernetesModule, kubernetesModule + "/cmd/kube-apiserver"},
	{kubeControllerManager, "TEST_ASSET_KUBE_CONTROLLER_MANAGER", kubernetesModule, kubernetesModule + "/cmd/kube-controller-manager"},
}

// findBinaries finds each component, in this order: at the path in its
// environment variable, in the directory $KUBEBUILDER_ASSETS, in the user's
// cache directory. What it does not find it builds into the last.
func findBinaries(ctx context.Context) (binaries, error) {
	found := make(binaries)
	var missing []component
	for _, component := range components {
		path, err := component.provided()
		if err != nil {
			return nil, err
		}
		if path == "" {
			missing = append(missing, component)
			continue
		}
		found[component.name] = path
	}
	if len(missing) == 0 {
		return found, nil
	}
	controlPlane, err := loadControlPlane(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the module of the control plane: %w", err)
	}
	for _, component := range missing {
		path, err := controlPlane.get(ctx, component)
		if err != nil {
			return nil, err
		}
		found[component.name] = path
	}
	return found, nil
}

// provided returns the path of a binary somebody else provides, or "".
func (c component) provided() (string, error) {
	if path := os.Getenv(c.env); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("$%s names no %s: %w", c.env, c.name, err)
		}
		return filepath.Abs(path)
	}
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		return "", nil
	}
	// envtest has no kube-controller-manager; we then build that alone.
	path := filepath.Join(dir, c.name)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look into $KUBEBUILDER_ASSETS: %w", err)
	}
	return filepath.Abs(path)
}

// controlPlane is the module test/controlplane, which pins what we build.
type controlPlane struct {
	dir        string
	mod        []byte // its go.mod
	kubernetes string // the version of Kubernetes, as v1.2.3
	store      *store
}

// loadControlPlane reads the module. The key of its store is of everything
// that goes into a binary, so a change of any builds anew.
func loadControlPlane(ctx context.Context) (*controlPlane, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	c := &controlPlane{dir: filepath.Join(root, "test", "controlplane")}
	if c.mod, err = os.ReadFile(filepath.Join(c.dir, "go.mod")); err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(c.dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	if c.kubernetes, err = c.version(kubernetesModule); err != nil {
		return nil, err
	}
	toolchain, err := c.goCommand(ctx, "env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its version: %w", err)
	}
	hash := sha256.New()
	for _, part := range [][]byte{
		c.mod, sum, bytes.TrimSpace(toolchain), []byte(runtime.GOOS + "/" + runtime.GOARCH),
		[]byte(strings.Join(c.flags(), " ")),
	} {
		fmt.Fprintf(hash, "%d\n%s\n", len(part), part)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	key := hex.EncodeToString(hash.Sum(nil))[:16]
	c.store = &store{dir: filepath.Join(cache, "minilb", "controlplane", key), log: os.Stderr}
	return c, nil
}

// version returns the release of a module that go.mod requires.
func (c *controlPlane) version(module string) (string, error) {
	pin := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\d+\.\d+\.\d+)\b`).FindSubmatch(c.mod)
	if pin == nil {
		return "", fmt.Errorf("%s/go.mod requires no release of %s", c.dir, module)
	}
	return string(pin[1]), nil
}

// flags are those of go build. The version is linked in as Kubernetes's own
// build does it; kubectl cannot talk to a server that does not know its own.
func (c *controlPlane) flags() []string {
	numbers := strings.Split(strings.TrimPrefix(c.kubernetes, "v"), ".")
	ldflags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, variable := range []string{
			"gitVersion=" + c.kubernetes, "gitMajor=" + numbers[0], "gitMinor=" + numbers[1],
			"gitCommit=unknown", "gitTreeState=clean",
		} {
			ldflags = append(ldflags, "-X", pkg+"."+variable)
		}
	}
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=" + strings.Join(ldflags, " ")}
}

// goCommand is a go command in the module, for this machine, whatever the
// environment says about the module we are called from.
func (c *controlPlane) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOFLAGS=", "GOWORK=off")
	return cmd
}

// get returns the path of a component's binary and builds it if need be.
func (c *controlPlane) get(ctx context.Context, component component) (string, error) {
	version, err := c.version(component.module)
	if err != nil {
		return "", err
	}
	return c.store.get(ctx, component.name, version, func(ctx context.Context, out string) error {
		args := append([]string{"build"}, c.flags()...)
		return runBuild(c.goCommand(ctx, append(args, "-o", out, component.pkg)...))
	})
}

// moduleRoot returns the directory of this repository's go.mod. The compiler
// knows where this file lies, unless it was told to forget; the go command then
// knows the module we are called from.
func moduleRoot(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for the module: %w", err)
	}
	root := filepath.Dir(string(bytes.TrimSpace(mod)))
	if !filepath.IsAbs(root) {
		return "", errors.New("not inside the minilb repository")
	}
	return root, nil
}
