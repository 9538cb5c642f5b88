package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// prometheusOperator is the module that the Prometheus Operator is published in.
const prometheusOperator = "github.com/prometheus-operator/prometheus-operator"

// prometheusOperatorRelease is the release whose definitions tests install.
const prometheusOperatorRelease = "v0.85.0"

// PrometheusOperator returns the CustomResourceDefinitions of ServiceMonitors and
// PrometheusRules as a manifest for Apply.
func PrometheusOperator(ctx context.Context) (string, error) {
	dir, err := moduleDir(ctx, prometheusOperator+"@"+prometheusOperatorRelease)
	if err != nil {
		return "", err
	}
	var documents []string
	for _, resource := range []string{"servicemonitors", "prometheusrules"} {
		content, err := os.ReadFile(filepath.Join(dir, "example/prometheus-operator-crd", "monitoring.coreos.com_"+resource+".yaml"))
		if err != nil {
			return "", fmt.Errorf("read the definitions of the Prometheus Operator: %w", err)
		}
		documents = append(documents, string(content))
	}
	return strings.Join(documents, "\n---\n"), nil
}
