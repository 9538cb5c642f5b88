package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Every release is served by the API server as it is published, in both channels, and can be
// taken away again.
func TestGatewayAPI(t *testing.T) {
	c := New(t, Options{})
	for _, release := range GatewayAPIReleases {
		for _, channel := range []string{"standard", "experimental"} {
			manifest, err := GatewayAPI(t.Context(), release, channel)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Apply(t.Context(), manifest); err != nil {
				t.Fatalf("%s %s: %v", release, channel, err)
			}
			list, err := c.Client.Discovery().ServerResourcesForGroupVersion("gateway.networking.k8s.io/v1")
			if err != nil {
				t.Fatalf("%s %s: %v", release, channel, err)
			}
			for _, resource := range []string{"gatewayclasses", "gateways", "httproutes"} {
				if !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
					t.Errorf("%s %s: %s are not served as v1", release, channel, resource)
				}
			}
			if err := c.Delete(t.Context(), manifest); err != nil {
				t.Fatal(err)
			}
			Eventually(t, patience, func() error {
				left, err := c.Dynamic.Resource(definitions).List(t.Context(), metav1.ListOptions{})
				if err != nil {
					return err
				}
				if len(left.Items) > 0 {
					return fmt.Errorf("%s %s: %d definitions are still there, %s for one: %v", release, channel, len(left.Items), left.Items[0].GetName(), left.Items[0].Object["status"])
				}
				return nil
			})
		}
	}
}

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
