package deploy_test

import (
	"maps"
	"testing"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// What the README of the manifests says of servers on some nodes only: a patch selects them.
func TestSomeNodesRecipe(t *testing.T) {
	t.Parallel()
	manifest, err := shipped.Overlay(harness.Recipe(t, "../kustomize/README.md", "On some nodes only")[0], nil)
	harness.Must(t, err)
	if got, want := harness.ShippedPods(t, manifest, harness.DNSAccount).Spec.NodeSelector, map[string]string{"minilb.io/dns": ""}; !maps.Equal(got, want) {
		t.Errorf("got nodes %v, want %v", got, want)
	}
}
