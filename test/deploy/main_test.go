// Package deploy_test applies and runs what deploy/ ships: the chart, the manifests, accounts
// outside of the cluster, dashboard and alerts.
package deploy_test

import (
	"testing"

	"github.com/minilb/minilb/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
