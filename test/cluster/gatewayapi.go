package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The modules that the Gateway API is published in.
const (
	gatewayAPI            = "sigs.k8s.io/gateway-api"
	gatewayAPIConformance = "sigs.k8s.io/gateway-api/conformance"
)

// The releases of the Gateway API that tests install: the oldest, those between which a kind
// came or changed its versions, and the newest.
var GatewayAPIReleases = []string{"v1.0.0", "v1.2.1", "v1.4.1", "v1.5.1", "v1.6.3"}

// NewestGatewayAPI is the last of the GatewayAPIReleases.
const NewestGatewayAPI = "v1.6.3"

// moduleSums are the go.sum hashes of what is downloaded.
var moduleSums = map[string]string{
	gatewayAPI + "@v1.0.0":            "h1:iPTStSv41+d9p0xFydll6d7f7MOBGuqXM6p2/zVYMAs=",
	gatewayAPI + "@v1.2.1":            "h1:fZZ/+RyRb+Y5tGkwxFKuYuSRQHu9dZtbjenblleOLHM=",
	gatewayAPI + "@v1.4.1":            "h1:NPxFutNkKNa8UfLd2CMlEuhIPMQgDQ6DXNKG9sHbJU8=",
	gatewayAPI + "@v1.5.1":            "h1:RqVRIlkhLhUO8wOHKTLnTJA6o/1un4po4/6M1nRzdd0=",
	gatewayAPI + "@v1.6.3":            "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
	gatewayAPIConformance + "@v1.6.3": "h1:UxhSb1GrDsyl+PdKe3g8a/BFWgP6hzy2PPFmZRgqeMQ=",

	frrK8s:                       "h1:JLlCeXVlW5BLVdPy2u5sS9UCVlnK9x2vzWbIkxb8Atk=",
	cilium + "@" + ciliumRelease: "h1:dqiEGIcXc+gqCLYG/l7VCFJ8GHyb4HUrwbZOpkX5dL8=",

	prometheusOperator + "@" + prometheusOperatorRelease: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
}

// GatewayAPI returns the CustomResourceDefinitions of a release of the Gateway API as a
// manifest for Apply. The channel is "standard" or "experimental"; resources are plural
// names, such as "httproutes", of those that are wanted: all without any.
func GatewayAPI(ctx context.Context, release, channel string, resources ...string) (string, error) {
	dir, err := moduleDir(ctx, gatewayAPI+"@"+release)
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "config/crd", channel, "gateway.networking.*_*.yaml"))
	if err != nil {
		return "", fmt.Errorf("find the definitions of the Gateway API %s: %w", release, err)
	}
	var documents []string
	for _, file := range files {
		_, resource, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".yaml"), "_")
		if len(resources) > 0 && !slices.Contains(resources, resource) {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the definitions of the Gateway API %s: %w", release, err)
		}
		// Beside them lies a policy against downgrades, which tests make.
		if bytes.Contains(content, []byte("\nkind: CustomResourceDefinition\n")) {
			documents = append(documents, string(content))
		}
	}
	if len(documents) < max(len(resources), 1) {
		return "", fmt.Errorf("the Gateway API %s has no %s definitions of %q", release, channel, resources)
	}
	return strings.Join(documents, "\n---\n"), nil
}

// GatewayAPIConformance returns the directory of the Gateway API's own conformance tests, of
// its newest release.
func GatewayAPIConformance(ctx context.Context) (string, error) {
	return moduleDir(ctx, gatewayAPIConformance+"@"+NewestGatewayAPI)
}

// moduleDir returns where a module's files lie, and downloads them if need be.
func moduleDir(ctx context.Context, module string) (string, error) {
	want, known := moduleSums[module]
	if !known {
		return "", fmt.Errorf("download %s: want one of %q", module, slices.Sorted(maps.Keys(moduleSums)))
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // no module of ours depends on it
	cmd.Env = append(os.Environ(), "GO111MODULE=on", "GOWORK=off", "GOFLAGS=")
	output, err := cmd.Output()
	var downloaded struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(output, &downloaded); err == nil && jsonErr != nil {
		err = jsonErr
	}
	switch {
	case downloaded.Error != "":
		return "", fmt.Errorf("download %s: %s", module, downloaded.Error)
	case err != nil:
		return "", fmt.Errorf("download %s: %w", module, err)
	case downloaded.Sum != want:
		return "", fmt.Errorf("download %s: its hash is %s, want %s", module, downloaded.Sum, want)
	}
	return downloaded.Dir, nil
}
