package cluster

import (
	"strings"
	"testing"
)

func TestGatewayAPIUnknown(t *testing.T) {
	for name, ask := range map[string]func() (string, error){
		"release":  func() (string, error) { return GatewayAPI(t.Context(), "v0.1.0", "standard") },
		"channel":  func() (string, error) { return GatewayAPI(t.Context(), NewestGatewayAPI, "stable") },
		"resource": func() (string, error) { return GatewayAPI(t.Context(), NewestGatewayAPI, "standard", "cheeseroutes") },
	} {
		if manifest, err := ask(); err == nil || manifest != "" {
			t.Errorf("%s: got %d bytes and %v", name, len(manifest), err)
		}
	}
	one, err := GatewayAPI(t.Context(), "v1.0.0", "standard", "httproutes")
	if err != nil || strings.Count(one, "\nkind: CustomResourceDefinition") != 1 {
		t.Errorf("one definition: got %d and %v", strings.Count(one, "\nkind: CustomResourceDefinition"), err)
	}
	dir, err := GatewayAPIConformance(t.Context())
	if err != nil || !strings.HasSuffix(dir, NewestGatewayAPI) {
		t.Errorf("conformance: got %q and %v", dir, err)
	}
}
