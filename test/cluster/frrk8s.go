package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// frrK8s is the module that frr-k8s is published in, in the release whose definition tests install.
const frrK8s = "github.com/metallb/frr-k8s@v0.0.21"

// FRRK8s returns the CustomResourceDefinition of FRRConfigurations as a manifest for Apply. Numbers of AS, which are up to
// 4294967295, are int32 there: an API server of 1.36 refuses all objects for that, and so they are int64 here.
func FRRK8s(ctx context.Context) (string, error) {
	dir, err := moduleDir(ctx, frrK8s)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(dir, "config/crd/bases/frrk8s.metallb.io_frrconfigurations.yaml"))
	if err != nil {
		return "", fmt.Errorf("read the definition of frr-k8s: %w", err)
	}
	return strings.ReplaceAll(string(content), "format: int32", "format: int64"), nil
}
