package harness

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/shipped"
)

// What deploy/kustomize calls the things that tests name.
const (
	ShippedNamespace  = shipped.Namespace
	DNSAccount        = shipped.DNSAccount
	ControllerAccount = shipped.ControllerAccount
)

// Accounts are kubeconfigs with the rights that deploy/kustomize gives, and no others.
type Accounts struct {
	DNS        string // of the server
	Controller string // of "minilb controller"
}

// ShippedAccounts applies the namespace, ServiceAccounts, ClusterRoles and bindings of
// deploy/kustomize/base, as often as it is called, and returns fresh tokens.
func ShippedAccounts(t *testing.T, c *cluster.Cluster) Accounts {
	t.Helper()
	a, err := shipped.Apply(t.Context(), c)
	Must(t, err)
	return Accounts{DNS: a.DNS, Controller: a.Controller}
}

// Base and daemonset are the kustomizations of deploy/kustomize.
var (
	Base      = shipped.Base
	Daemonset = shipped.DaemonSet
)

// Rendered returns what a kustomization renders to.
func Rendered(t *testing.T, render func() (string, error)) string {
	t.Helper()
	manifest, err := render()
	Must(t, err)
	return manifest
}

// Documents splits a manifest into its objects.
func Documents(t *testing.T, manifest string) []string {
	t.Helper()
	all, err := shipped.Documents(manifest)
	Must(t, err)
	return all
}

// OfKinds returns the objects of a manifest that are of these kinds, in its order.
func OfKinds(t *testing.T, manifest string, kinds ...string) string {
	t.Helper()
	chosen, err := shipped.OfKinds(manifest, kinds...)
	Must(t, err)
	return chosen
}

// ShippedObject decodes the one object of a manifest that is of this kind and has this name,
// or this name and a hash.
func ShippedObject[T any](t *testing.T, manifest, kind, name string) *T {
	t.Helper()
	var found []*T
	for _, document := range Documents(t, OfKinds(t, manifest, kind)) {
		var object metav1.PartialObjectMetadata
		Must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Name == name || kind == "ConfigMap" && strings.HasPrefix(object.Name, name+"-") {
			decoded := new(T)
			Must(t, yaml.UnmarshalStrict([]byte(document), decoded))
			found = append(found, decoded)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects %s %s, want one", len(found), kind, name)
	}
	return found[0]
}

// ShippedPods returns the template of the pods of the one Deployment or DaemonSet of a manifest with this name.
func ShippedPods(t *testing.T, manifest, name string) corev1.PodTemplateSpec {
	t.Helper()
	var found []corev1.PodTemplateSpec
	for _, document := range Documents(t, OfKinds(t, manifest, "Deployment", "DaemonSet")) {
		var workload appsv1.DaemonSet // a Deployment has the same template
		Must(t, yaml.Unmarshal([]byte(document), &workload))
		if workload.Name == name {
			found = append(found, workload.Spec.Template)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d workloads %s, want one", len(found), name)
	}
	return found[0]
}

// Allowed asks the API server whether a ServiceAccount has a right in all namespaces, such as
// "patch services/status" or "list ingresses.networking.k8s.io".
func Allowed(t *testing.T, c *cluster.Cluster, user, right string) bool {
	t.Helper()
	verb, rest, _ := strings.Cut(right, " ")
	rest, subresource, _ := strings.Cut(rest, "/")
	resource, group, _ := strings.Cut(rest, ".")
	if resource == "*" {
		group = "*"
	}
	review, err := c.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   user,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + ShippedNamespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: group, Resource: resource, Subresource: subresource,
			},
		},
	}, metav1.CreateOptions{})
	Must(t, err)
	return review.Status.Allowed
}

// Role returns the manifest of a ServiceAccount in namespace creds with these rules.
func Role(name string, rules ...string) string {
	return fmt.Sprintf(`
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: %[1]s, namespace: creds}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: creds-%[1]s}, rules: [%[2]s]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: creds-%[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: creds-%[1]s}
subjects: [{kind: ServiceAccount, name: %[1]s, namespace: creds}]
`, name, strings.Join(rules, ", "))
}
