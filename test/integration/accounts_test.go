package integration_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/shipped"
)

// What deploy/kustomize calls the things that tests name.
const (
	shippedNamespace  = shipped.Namespace
	dnsAccount        = shipped.DNSAccount
	controllerAccount = shipped.ControllerAccount
)

// accounts are kubeconfigs with the rights that deploy/kustomize gives, and no others.
type accounts struct {
	dns        string // of the server
	controller string // of "minilb controller"
}

// shippedAccounts applies the namespace, ServiceAccounts, ClusterRoles and bindings of
// deploy/kustomize/base, as often as it is called, and returns fresh tokens.
func shippedAccounts(t *testing.T, c *cluster.Cluster) accounts {
	t.Helper()
	a, err := shipped.Apply(t.Context(), c)
	must(t, err)
	return accounts{dns: a.DNS, controller: a.Controller}
}

// base and daemonset are the kustomizations of deploy/kustomize.
var (
	base      = shipped.Base
	daemonset = shipped.DaemonSet
)

func rendered(t *testing.T, render func() (string, error)) string {
	t.Helper()
	manifest, err := render()
	must(t, err)
	return manifest
}

// documents splits a manifest into its objects.
func documents(t *testing.T, manifest string) []string {
	t.Helper()
	all, err := shipped.Documents(manifest)
	must(t, err)
	return all
}

// ofKinds returns the objects of a manifest that are of these kinds, in its order.
func ofKinds(t *testing.T, manifest string, kinds ...string) string {
	t.Helper()
	chosen, err := shipped.OfKinds(manifest, kinds...)
	must(t, err)
	return chosen
}

// shippedObject decodes the one object of a manifest that is of this kind and has this name,
// or this name and a hash.
func shippedObject[T any](t *testing.T, manifest, kind, name string) *T {
	t.Helper()
	var found []*T
	for _, document := range documents(t, ofKinds(t, manifest, kind)) {
		var object metav1.PartialObjectMetadata
		must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Name == name || kind == "ConfigMap" && strings.HasPrefix(object.Name, name+"-") {
			decoded := new(T)
			must(t, yaml.UnmarshalStrict([]byte(document), decoded))
			found = append(found, decoded)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects %s %s, want one", len(found), kind, name)
	}
	return found[0]
}

// The accounts have the rights that the programs use and no others (S14).
func TestShippedRights(t *testing.T) {
	c := shared(t)
	kubeconfigs := shippedAccounts(t, c)
	routesKubeconfig, err := shipped.ApplyRoutes(t.Context(), c)
	must(t, err)
	// An account without a binding has what every account has.
	namespace := newNamespace(t, c)
	_, err = c.Client.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}, metav1.CreateOptions{})
	must(t, err)
	nobody, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "nobody")
	must(t, err)

	var gatewayAPI []string
	for _, resource := range []string{"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes"} {
		gatewayAPI = append(gatewayAPI, "list "+resource+".gateway.networking.k8s.io", "watch "+resource+".gateway.networking.k8s.io")
	}
	for _, test := range []struct {
		account, kubeconfig string
		allowed, denied     []string
	}{
		{
			dnsAccount, kubeconfigs.dns,
			append([]string{
				"list services", "watch services", "list endpointslices.discovery.k8s.io", "watch endpointslices.discovery.k8s.io",
				"list ingresses.networking.k8s.io", "watch ingresses.networking.k8s.io", "list namespaces", "watch namespaces",
				"list xlistenersets.gateway.networking.x-k8s.io", "watch xlistenersets.gateway.networking.x-k8s.io",
			}, gatewayAPI...),
			[]string{
				"patch services/status", "list nodes", "update ingresses.networking.k8s.io/status", "get namespaces",
				"patch gateways.gateway.networking.k8s.io/status", "update httproutes.gateway.networking.k8s.io", "list referencegrants.gateway.networking.k8s.io",
				"create events.events.k8s.io",
			},
		},
		{
			controllerAccount, kubeconfigs.controller,
			append([]string{
				"list services", "watch services", "patch services/status", "list nodes", "list endpointslices.discovery.k8s.io",
				"create events.events.k8s.io", // S17, and what they tell of
				"list ingresses.networking.k8s.io", "watch ingresses.networking.k8s.io", "list namespaces", "watch namespaces",
				"list xlistenersets.gateway.networking.x-k8s.io", "watch xlistenersets.gateway.networking.x-k8s.io",
			}, gatewayAPI...),
			[]string{
				"watch nodes", "watch endpointslices.discovery.k8s.io", "update services/status", "update ingresses.networking.k8s.io/status", "get namespaces",
				"patch nodes", "patch nodes/status", "patch gateways.gateway.networking.k8s.io/status", "update httproutes.gateway.networking.k8s.io",
				"get events.events.k8s.io", "patch events.events.k8s.io", "delete events.events.k8s.io",
			},
		},
		{
			shipped.RoutesAccount, routesKubeconfig,
			[]string{"list nodes", "watch nodes", "list endpointslices.discovery.k8s.io"},
			[]string{"get nodes", "list services", "watch endpointslices.discovery.k8s.io", "patch services/status", "patch nodes", "patch nodes/status", "list namespaces"},
		},
	} {
		t.Run(test.account, func(t *testing.T) {
			var got []string
			common := rules(t, nobody)
			for right := range rules(t, test.kubeconfig) {
				if !common[right] {
					got = append(got, right)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(test.allowed)); !slices.Equal(got, want) {
				t.Errorf("rights beyond every account's: got %q, want %q", got, want)
			}

			user := "system:serviceaccount:" + shippedNamespace + ":" + test.account
			for _, right := range test.allowed {
				if !allowed(t, c, user, right) {
					t.Errorf("may not %s", right)
				}
			}
			for _, right := range append(test.denied,
				"get services", "create services", "update services", "patch services", "delete services", "deletecollection services",
				"patch endpointslices.discovery.k8s.io", "create endpointslices.discovery.k8s.io", "delete ingresses.networking.k8s.io",
				"get secrets", "list secrets", "watch secrets", "get configmaps", "list configmaps", "list pods", "create pods", "create pods/exec",
				"get pods/log", "create events", "create serviceaccounts/token", "impersonate users",
				"get nodes/proxy", "create leases.coordination.k8s.io", "bind clusterroles.rbac.authorization.k8s.io",
				"escalate clusterroles.rbac.authorization.k8s.io", "* *",
			) {
				if allowed(t, c, user, right) {
					t.Errorf("may %s", right)
				}
			}
		})
	}
}

// allowed asks the API server whether a ServiceAccount has a right in all namespaces, such as
// "patch services/status" or "list ingresses.networking.k8s.io".
func allowed(t *testing.T, c *cluster.Cluster, user, right string) bool {
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
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + shippedNamespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: group, Resource: resource, Subresource: subresource,
			},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	return review.Status.Allowed
}

// rules returns all rights of the account behind a kubeconfig, as allowed takes them.
func rules(t *testing.T, kubeconfig string) map[string]bool {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: shippedNamespace},
	}, metav1.CreateOptions{})
	must(t, err)
	if review.Status.Incomplete {
		t.Fatalf("the list of rules is incomplete: %s", review.Status.EvaluationError)
	}
	rights := map[string]bool{}
	for _, rule := range review.Status.ResourceRules {
		for _, verb := range rule.Verbs {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					resource, subresource, _ := strings.Cut(resource, "/")
					if group != "" {
						resource += "." + group
					}
					if subresource != "" {
						resource += "/" + subresource
					}
					if rule.ResourceNames != nil {
						resource += fmt.Sprintf(" %q", rule.ResourceNames)
					}
					rights[verb+" "+resource] = true
				}
			}
		}
	}
	for _, rule := range review.Status.NonResourceRules {
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				rights[verb+" "+url] = true
			}
		}
	}
	return rights
}
