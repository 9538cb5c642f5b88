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
	"path"
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

// Binaries are the paths of programs by name.
type Binaries map[string]string

// component says where a binary comes from.
type component struct {
	name   string
	env    string // names a path that goes before what we build, as envtest has it; "" if nothing does
	pins   string // the nested module that pins it
	module string // pinned there
	pkg    string
	flags  []string // of go build, beside those of all
}

const (
	controlPlaneModule = "test/controlplane"
	runtimeModule      = "test/containerruntime"
	flannelPins        = "test/flannel"

	kubernetesModule = "k8s.io/kubernetes"
	containerdModule = "github.com/containerd/containerd/v2"
	cniModule        = "github.com/containernetworking/plugins"
	runcModule       = "github.com/opencontainers/runc"
	flannelModule    = "github.com/flannel-io/flannel"
)

// controlPlaneComponents are what each Cluster runs.
var controlPlaneComponents = []component{
	{name: etcd, env: "TEST_ASSET_ETCD", pins: controlPlaneModule, module: "go.etcd.io/etcd/server/v3", pkg: "go.etcd.io/etcd/server/v3"},
	ofKubernetes(kubeAPIServer, "TEST_ASSET_KUBE_APISERVER"),
	ofKubernetes(kubeControllerManager, "TEST_ASSET_KUBE_CONTROLLER_MANAGER"),
}

// nodeComponents are what real nodes take, and the scheduler that pods on them do.
var nodeComponents = []component{
	ofKubernetes("kube-scheduler", ""),
	ofKubernetes("kubelet", ""),
	ofKubernetes("kube-proxy", ""),
	ofRuntime(containerdModule, "/cmd/containerd"),
	ofRuntime(containerdModule, "/cmd/containerd-shim-runc-v2"),
	ofRuntime(containerdModule, "/cmd/ctr"),
	ofRuntime(cniModule, "/plugins/main/bridge"),
	ofRuntime(cniModule, "/plugins/main/loopback"),
	ofRuntime(cniModule, "/plugins/ipam/host-local"),
	ofRuntime(cniModule, "/plugins/meta/portmap"),
	// With seccomp, which pods of ours ask for, and which takes a C compiler and libseccomp.
	ofRuntime(runcModule, "", "-tags=seccomp"),
}

// flannelComponents are what nodes of flannel's network take as well.
var flannelComponents = []component{
	{name: "flanneld", pins: flannelPins, module: flannelModule, pkg: "."},
	{name: "flannel", pins: flannelPins, module: cniModule, pkg: cniModule + "/plugins/meta/flannel"},
}

func ofKubernetes(name, env string) component {
	return component{name: name, env: env, pins: controlPlaneModule, module: kubernetesModule, pkg: kubernetesModule + "/cmd/" + name}
}

func ofRuntime(module, dir string, flags ...string) component {
	return component{name: path.Base(module + dir), pins: runtimeModule, module: module, pkg: module + dir, flags: flags}
}

// NodeBinaries returns the programs of a real node: kubelet, kube-proxy, containerd with its shim and ctr,
// runc and the CNI plugins, and kube-scheduler. It builds those that are not in the user's cache directory.
func NodeBinaries(ctx context.Context) (Binaries, error) {
	return findBinaries(ctx, nodeComponents)
}

// FlannelBinaries returns flanneld and flannel's CNI plugin. It builds those that are not in the user's cache directory.
func FlannelBinaries(ctx context.Context) (Binaries, error) {
	return findBinaries(ctx, flannelComponents)
}

// findBinaries finds each component, in this order: at the path in its
// environment variable, in the directory $KUBEBUILDER_ASSETS, in the user's
// cache directory. What it does not find it builds into the last.
func findBinaries(ctx context.Context, components []component) (Binaries, error) {
	found := make(Binaries)
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
	modules := map[string]*pins{}
	for _, component := range missing {
		module := modules[component.pins]
		if module == nil {
			var err error
			if module, err = loadPins(ctx, component.pins); err != nil {
				return nil, fmt.Errorf("find the module %s: %w", component.pins, err)
			}
			modules[component.pins] = module
		}
		path, err := module.get(ctx, component)
		if err != nil {
			return nil, err
		}
		found[component.name] = path
	}
	return found, nil
}

// provided returns the path of a binary somebody else provides, or "".
func (c component) provided() (string, error) {
	if c.env == "" {
		return "", nil
	}
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

// pins is a nested module, which pins what we build.
type pins struct {
	dir   string
	mod   []byte // its go.mod
	store *store
}

// loadPins reads the module. The key of its store is of everything
// that goes into a binary, so a change of any builds anew.
func loadPins(ctx context.Context, module string) (*pins, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	p := &pins{dir: filepath.Join(root, module)}
	if p.mod, err = os.ReadFile(filepath.Join(p.dir, "go.mod")); err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(p.dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	toolchain, err := p.goCommand(ctx, "env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go for its version: %w", err)
	}
	parts := [][]byte{
		p.mod, sum, bytes.TrimSpace(toolchain), []byte(runtime.GOOS + "/" + runtime.GOARCH),
		[]byte(strings.Join(append(buildFlags(""), buildFlags("v0.0.0")...), " ")),
	}
	sources, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		parts = append(parts, text)
	}
	hash := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(hash, "%d\n%s\n", len(part), part)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	key := hex.EncodeToString(hash.Sum(nil))[:16]
	p.store = &store{dir: filepath.Join(cache, "minilb", filepath.Base(module), key), log: os.Stderr}
	return p, nil
}

// version returns the release of a module that go.mod requires, or that a line before that replaces it with.
func (p *pins) version(module string) (string, error) {
	pin := regexp.MustCompile(`(?m)(?:^\s*|=> )` + regexp.QuoteMeta(module) + ` (v\d+\.\d+\.\d+)\b`).FindSubmatch(p.mod)
	if pin == nil {
		return "", fmt.Errorf("%s/go.mod requires no release of %s", p.dir, module)
	}
	return string(pin[1]), nil
}

// buildFlags are those of go build. The version of Kubernetes is linked in as its own
// build does it; kubectl cannot talk to a server that does not know its own.
func buildFlags(kubernetes string) []string {
	ldflags := []string{"-s", "-w"}
	if kubernetes != "" {
		numbers := strings.Split(strings.TrimPrefix(kubernetes, "v"), ".")
		for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
			for _, variable := range []string{
				"gitVersion=" + kubernetes, "gitMajor=" + numbers[0], "gitMinor=" + numbers[1],
				"gitCommit=unknown", "gitTreeState=clean",
			} {
				ldflags = append(ldflags, "-X", pkg+"."+variable)
			}
		}
	}
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=" + strings.Join(ldflags, " ")}
}

// goCommand is a go command in the module, for this machine, whatever the
// environment says about the module we are called from.
func (p *pins) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOFLAGS=", "GOWORK=off")
	return cmd
}

// get returns the path of a component's binary and builds it if need be.
func (p *pins) get(ctx context.Context, component component) (string, error) {
	version, err := p.version(component.module)
	if err != nil {
		return "", err
	}
	linked := ""
	if component.module == kubernetesModule {
		linked = version
	}
	return p.store.get(ctx, component.name, version, func(ctx context.Context, out string) error {
		args := append(append([]string{"build"}, buildFlags(linked)...), component.flags...)
		cmd := p.goCommand(ctx, append(args, "-o", out, component.pkg)...)
		if component.flags != nil {
			cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
		}
		return runBuild(cmd)
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
