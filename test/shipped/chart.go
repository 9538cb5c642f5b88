package shipped

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// chartDir is the Helm chart, seen from the repository's root.
const chartDir = "deploy/helm/minilb"

// ChartRelease is the release as which Chart renders. In Namespace its objects have the names
// that deploy/kustomize gives.
const ChartRelease = "minilb"

// kubeVersion is what the chart is rendered for; Helm would take a version long gone.
const kubeVersion = "1.36.3"

// helm is the path of the Helm of test/tools/helm, built if it is not in Go's cache.
var helm = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "tool", "-modfile=test/tools/helm/go.mod", "-n", "helm")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build helm: %w\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(path)), nil
})

// Helm runs Helm in the repository's root, without any configuration of the user's, and returns
// what it prints. Its error carries what Helm says is wrong.
func Helm(ctx context.Context, args ...string) (string, error) {
	binary, err := helm()
	if err != nil {
		return "", err
	}
	home, err := os.MkdirTemp("", "minilb-helm-")
	if err != nil {
		return "", fmt.Errorf("run helm: %w", err)
	}
	defer os.RemoveAll(home)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w\n%s%s", args[0], err, &stderr, &stdout)
	}
	return stdout.String(), nil
}

// Chart renders the chart with these values, a path seen from the repository's root as
// ChartVariants has it, and with further ones as --set takes them.
func Chart(ctx context.Context, values string, set ...string) (string, error) {
	args := []string{"template", ChartRelease, chartDir, "--namespace", Namespace, "--kube-version", kubeVersion}
	if values != "" {
		args = append(args, "--values", values)
	}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	return Helm(ctx, args...)
}

// ChartVariants returns the values that the chart is tested with, as paths by their names.
func ChartVariants() (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(root, chartDir, "ci", "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("find the chart's variants: %w", err)
	}
	variants := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		variants[strings.TrimSuffix(name, ".yaml")] = filepath.Join(chartDir, "ci", name)
	}
	return variants, nil
}
