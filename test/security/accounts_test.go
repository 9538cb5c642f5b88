package security_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/shipped"
)

// The accounts have the rights that the programs use and no others (S14).
func TestShippedRights(t *testing.T) {
	c := harness.Shared(t)
	kubeconfigs := harness.ShippedAccounts(t, c)
	routesKubeconfig, err := shipped.ApplyRoutes(t.Context(), c)
	harness.Must(t, err)
	// An account without a binding has what every account has.
	namespace := harness.NewNamespace(t, c)
	_, err = c.Client.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}, metav1.CreateOptions{})
	harness.Must(t, err)
	nobody, err := c.ServiceAccountKubeconfig(t.Context(), namespace, "nobody")
	harness.Must(t, err)

	var gatewayAPI []string
	for _, resource := range []string{"gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes"} {
		gatewayAPI = append(gatewayAPI, "list "+resource+".gateway.networking.k8s.io", "watch "+resource+".gateway.networking.k8s.io")
	}
	for _, test := range []struct {
		account, kubeconfig string
		allowed, denied     []string
	}{
		{
			harness.DNSAccount, kubeconfigs.DNS,
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
			harness.ControllerAccount, kubeconfigs.Controller,
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

			user := "system:serviceaccount:" + harness.ShippedNamespace + ":" + test.account
			for _, right := range test.allowed {
				if !harness.Allowed(t, c, user, right) {
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
				if harness.Allowed(t, c, user, right) {
					t.Errorf("may %s", right)
				}
			}
		})
	}
}

// rules returns all rights of the account behind a kubeconfig, as allowed takes them.
func rules(t *testing.T, kubeconfig string) map[string]bool {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	harness.Must(t, err)
	client, err := kubernetes.NewForConfig(config)
	harness.Must(t, err)
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: harness.ShippedNamespace},
	}, metav1.CreateOptions{})
	harness.Must(t, err)
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
