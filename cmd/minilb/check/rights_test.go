package check

import (
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// What is looked at is what the ClusterRoles of deploy/kustomize grant, and nothing else.
func TestRights(t *testing.T) {
	for file, rights := range map[string][]right{"dns-rbac.yaml": dnsRights, "controller-rbac.yaml": slices.Concat(controllerRights, eventRights)} {
		manifest, err := os.ReadFile("../../../deploy/kustomize/base/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var shipped []string
		for document := range strings.SplitSeq(string(manifest), "\n---\n") {
			var role rbacv1.ClusterRole
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						resource, subresource, _ := strings.Cut(resource, "/")
						for _, verb := range rule.Verbs {
							shipped = append(shipped, verb+" "+right{group: group, resource: resource, subresource: subresource}.String())
						}
					}
				}
			}
		}
		var looked []string
		for _, r := range rights {
			for _, verb := range r.verbs {
				looked = append(looked, verb+" "+r.String())
			}
			if r.without == "" {
				t.Errorf("%s: nothing is said of what follows", r)
			}
		}
		slices.Sort(shipped)
		slices.Sort(looked)
		if len(shipped) == 0 || !slices.Equal(looked, shipped) {
			t.Errorf("%s: looked at\n%q, shipped\n%q", file, looked, shipped)
		}
	}
}

// A right that nobody uses is not missed.
func TestNeeds(t *testing.T) {
	c := checker{
		options: []source.Options{{Services: true, Gateways: true}},
		served:  []Served{{"HTTPRoute", "v1"}, {"TLSRoute", ""}, {"XListenerSet", ""}},
	}
	var needed []string
	for _, r := range dnsRights {
		if c.needs(r) {
			needed = append(needed, r.resource)
		}
	}
	if want := []string{"services", "endpointslices", "namespaces", "gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes"}; !slices.Equal(needed, want) {
		t.Errorf("got %q, want %q", needed, want)
	}
}
