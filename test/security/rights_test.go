package security_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// listWatch returns the rights to list and to watch each resource.
func listWatch(resources ...string) []string {
	var rights []string
	for _, resource := range resources {
		rights = append(rights, "list "+resource, "watch "+resource)
	}
	return rights
}

// sources are what the objects that claim hosts are made of, for the server to answer and for the
// controller to report on.
var sources = listWatch("services", "ingresses.networking.k8s.io", "namespaces",
	"gatewayclasses.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io", "listenersets.gateway.networking.k8s.io",
	"httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io", "tlsroutes.gateway.networking.k8s.io",
	"xlistenersets.gateway.networking.x-k8s.io")

// shippedRights are all that the shipped accounts have beyond what every account has (S14, S17).
var shippedRights = map[string][]string{
	harness.DNSAccount: slices.Concat(sources, listWatch("endpointslices.discovery.k8s.io")),
	harness.ControllerAccount: slices.Concat(sources,
		[]string{"patch services/status", "list nodes", "list endpointslices.discovery.k8s.io", "create events.events.k8s.io", "list pods"}),
	shipped.RoutesAccount: slices.Concat(listWatch("nodes"), []string{"list endpointslices.discovery.k8s.io", ownServices}),
}

// ownServices is the right of the account for routes that it has in the namespace of the DNS servers only (R23).
const ownServices = "list services"

// The accounts have the rights of the table and no others. The server and the controller use every
// right that they are given, and ask for nothing else (S14, S17): with all kinds there, the API
// server's log has a request for each right, and none that it refused. (Where the API server
// streams lists, as by default, only "minilb routes" and older servers need "list".)
func TestRightsUsed(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Audit: true, APIServerFlags: []string{"--feature-gates=WatchList=false"}})
	ctx := t.Context()
	shippedKubeconfigs := harness.ShippedAccounts(t, c)
	kubeconfigs := map[string]string{harness.DNSAccount: shippedKubeconfigs.DNS, harness.ControllerAccount: shippedKubeconfigs.Controller}
	var err error
	kubeconfigs[shipped.RoutesAccount], err = shipped.ApplyRoutes(ctx, c)
	harness.Must(t, err)
	harness.Must(t, c.Node(ctx, "n1", "192.168.1.31"))
	old := harness.GatewayReleases[slices.IndexFunc(harness.GatewayReleases, func(r harness.GatewayRelease) bool { return r.XListenerSets != nil })]
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.Must(t, c.Apply(ctx, `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
metadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}},
endpoints: [{addresses: [10.244.1.7], targetRef: {kind: Pod, namespace: default, name: web-1, uid: none}}]}`))
	for _, kind := range []string{"xlistenersets", "listenersets"} { // no release has both (G3)
		definitions := harness.NewestGateways.Definitions(t)
		if kind == "xlistenersets" {
			definitions = old.Definitions(t, kind)
		}
		harness.ApplyTogether(t, c, definitions)
		harness.StartCoreDNS(t, harness.ResolverFor(kubeconfigs[harness.DNSAccount], harness.StartUpstream(t), "https")).WaitReady(t)
		harness.LaunchController(t, harness.HastyMinilb, kubeconfigs[harness.ControllerAccount]).WaitReady(t) // which soon reads pods (L9)
		awaitWatch(t, c, kind, harness.ControllerAccount)
	}
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	for _, args := range [][]string{{"routes"}, {"controller", "-cleanup"}} {
		if out, err := harness.Minilb(t, append(args, "-kubeconfig", kubeconfigs[harness.ControllerAccount])...).CombinedOutput(); err != nil {
			t.Errorf("minilb %s: %v\n%s", args, err, out)
		}
	}

	// An account without a binding has what every account has.
	harness.Must(t, c.Apply(ctx, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: nobody}}"))
	nobody, err := c.ServiceAccountKubeconfig(ctx, "default", "nobody")
	harness.Must(t, err)
	common := rules(t, nobody)
	for account, kubeconfig := range kubeconfigs {
		given := rules(t, kubeconfig)
		maps.DeleteFunc(given, func(right string, _ bool) bool { return common[right] })
		if got, want := slices.Sorted(maps.Keys(given)), slices.Sorted(slices.Values(shippedRights[account])); !slices.Equal(got, want) {
			t.Errorf("%s has rights %q beyond every account's, want %q", account, got, want)
		}
		// The list of rules is for one namespace, the programs read all.
		for _, right := range shippedRights[account] {
			if want := account != shipped.RoutesAccount || right != ownServices; harness.Allowed(t, c, user(account), right) != want {
				t.Errorf("that %s may %s in all namespaces: want %t", account, right, want)
			}
		}
		if account != shipped.RoutesAccount { // nobody has used that
			cluster.Eventually(t, patience, func() error { return used(c, account, given) })
		}
	}
}

// used returns an error unless the account has used all rights that it was given, and no others.
func used(c *cluster.Cluster, account string, given map[string]bool) error {
	requests, err := c.Requests()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, r := range requests {
		if r.User != user(account) || strings.HasPrefix(r.URI, "/apis/authorization.k8s.io/") || strings.Contains(r.URI, "dryRun=") { // which is this test
			continue
		}
		if r.Code == http.StatusForbidden || r.Code == http.StatusUnauthorized {
			return fmt.Errorf("%s: %s %s was answered %d", account, r.Verb, r.URI, r.Code)
		}
		if r.Resource != "" {
			used[r.Verb+" "+r.Resource] = true
		} else if path, _, _ := strings.Cut(r.URI, "?"); path != "/version" && path != "/api" && !strings.HasPrefix(path, "/apis") {
			return fmt.Errorf("%s asked for %s", account, r.URI)
		}
	}
	if !maps.Equal(used, given) {
		return fmt.Errorf("%s used rights %q, was given %q", account, slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(given)))
	}
	return nil
}

func user(account string) string {
	return "system:serviceaccount:" + harness.ShippedNamespace + ":" + account
}

// awaitWatch waits until an account has watched a kind.
func awaitWatch(t *testing.T, c *cluster.Cluster, resource, account string) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		requests, err := c.Requests()
		if err != nil {
			return err
		}
		for _, r := range requests {
			if r.User == user(account) && strings.HasPrefix(r.Resource, resource+".") && r.Verb == "watch" {
				return nil
			}
		}
		return fmt.Errorf("%s does not watch %s", account, resource)
	})
}

// rules returns all rights of the account behind a kubeconfig, as harness.Allowed takes them.
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
