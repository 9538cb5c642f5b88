// Package shipped gives tests what deploy/ ships: manifests as kustomize renders them, and the
// accounts with the rights that they grant.
package shipped

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
)

// What deploy/kustomize calls the things that tests name.
const (
	Namespace         = "minilb"
	DNSAccount        = "minilb-dns"
	ControllerAccount = "minilb-controller"
)

// root is the repository's, seen from the directory of a test in test/, where go test runs it.
const root = "../.."

// Accounts are paths of kubeconfigs with the rights that deploy/kustomize gives, and no others.
type Accounts struct {
	DNS        string // of the server
	Controller string // of "minilb controller" and "minilb routes"
}

// Apply applies the namespace, ServiceAccounts, ClusterRoles, bindings and the controller's policy of
// deploy/kustomize/base, as often as it is called, and returns fresh tokens, valid for an hour. The
// policy is for any class and domain.
func Apply(ctx context.Context, c *cluster.Cluster) (Accounts, error) {
	manifest, err := Base()
	if err != nil {
		return Accounts{}, err
	}
	rights, err := OfKinds(manifest, "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
	if err != nil {
		return Accounts{}, err
	}
	policy, err := Policy(anySettings)
	if err != nil {
		return Accounts{}, err
	}
	if err := c.Apply(ctx, rights+"---\n"+policy); err != nil {
		return Accounts{}, err
	}
	var accounts Accounts
	if accounts.DNS, err = c.ServiceAccountKubeconfig(ctx, Namespace, DNSAccount); err != nil {
		return Accounts{}, err
	}
	if accounts.Controller, err = c.ServiceAccountKubeconfig(ctx, Namespace, ControllerAccount); err != nil {
		return Accounts{}, err
	}
	return accounts, AwaitPolicy(ctx, accounts.Controller)
}

// Base and DaemonSet return the kustomizations of deploy/kustomize, rendered once.
var (
	Base      = sync.OnceValues(func() (string, error) { return render("base") })
	DaemonSet = sync.OnceValues(func() (string, error) { return render("overlays/daemonset") })
)

// published is how a kustomization of a user's names what is below deploy/kustomize.
var published = regexp.MustCompile(`https://github\.com/minilb/minilb//deploy/kustomize/([a-z/-]+)\?ref=v[0-9.]+`)

// Overlay renders a kustomization of a user's, with further files by their names. What it takes of a release is taken
// of this tree.
func Overlay(kustomization string, files map[string]string) (string, error) {
	own, err := os.MkdirTemp("", "minilb-kustomize-")
	if err != nil {
		return "", fmt.Errorf("render an overlay: %w", err)
	}
	defer os.RemoveAll(own)
	here, err := filepath.Abs(filepath.Join(root, "deploy/kustomize"))
	if err == nil {
		here, err = filepath.Rel(own, here) // as bases are named
	}
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(own, name), []byte(text), 0o600)
		}
	}
	if err == nil {
		text := published.ReplaceAllString(kustomization, here+"/$1")
		err = os.WriteFile(filepath.Join(own, "kustomization.yaml"), []byte(text), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("render an overlay: %w", err)
	}
	return build(own)
}

// WithComponent renders a directory below deploy/kustomize, and a manifest of somebody else's, with one of
// the components there.
func WithComponent(dir, beside, component string) (string, error) {
	const release = "https://github.com/minilb/minilb//deploy/kustomize/%s?ref=v0.1.0"
	return Overlay(fmt.Sprintf("resources: ["+release+", beside.yaml]\ncomponents: ["+release+"]\n", dir, "components/"+component),
		map[string]string{"beside.yaml": beside})
}

// render renders a directory below deploy/kustomize.
func render(dir string) (string, error) { return build(path.Join("deploy/kustomize", dir)) }

// build renders a directory with the kustomize of test/tools.
func build(dir string) (string, error) {
	cmd := exec.Command("go", "tool", "-modfile=test/tools/go.mod", "kustomize", "build", dir)
	cmd.Dir = root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("render %s: %w\n%s", dir, err, &stderr)
	}
	return stdout.String(), nil
}

// Documents splits a manifest into its objects.
func Documents(manifest string) ([]string, error) {
	var all []string
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("split a manifest: %w", err)
		}
		all = append(all, string(document))
	}
}

// OfKinds returns the objects of a manifest that are of these kinds, in its order, as a manifest.
func OfKinds(manifest string, kinds ...string) (string, error) {
	documents, err := Documents(manifest)
	if err != nil {
		return "", err
	}
	var chosen []string
	for _, document := range documents {
		var object metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			return "", fmt.Errorf("read a manifest: %w", err)
		}
		if slices.Contains(kinds, object.Kind) {
			chosen = append(chosen, document)
		}
	}
	return strings.Join(chosen, "---\n"), nil
}
