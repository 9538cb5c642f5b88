package security_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
)

// The programs use every right that they are given, and ask for nothing else: with all kinds there,
// the API server's log has a request for each right, and none that it refused. (Where the API server
// streams lists, as by default, "list" is for "minilb routes" and older servers alone.)
func TestRightsUsed(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Audit: true, APIServerFlags: []string{"--feature-gates=WatchList=false"}})
	ctx := t.Context()
	kubeconfigs := harness.ShippedAccounts(t, c)
	harness.Must(t, c.Node(ctx, "n1", "192.168.1.31"))
	old := harness.GatewayReleases[slices.IndexFunc(harness.GatewayReleases, func(r harness.GatewayRelease) bool { return r.XListenerSets != nil })]
	for _, kind := range []string{"xlistenersets", "listenersets"} { // the one is read where the others are not
		definitions := harness.NewestGateways.Definitions(t)
		if kind == "xlistenersets" {
			definitions = old.Definitions(t, kind)
		}
		harness.ApplyTogether(t, c, definitions)
		harness.StartCoreDNS(t, harness.ResolverFor(kubeconfigs.DNS, harness.StartUpstream(t), "https")).WaitReady(t)
		harness.StartController(t, kubeconfigs.Controller).WaitReady(t)
		awaitRequest(t, c, kind, harness.ControllerAccount)
	}
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	for _, args := range [][]string{{"routes"}, {"controller", "-cleanup"}} {
		if out, err := harness.Minilb(t, append(args, "-kubeconfig", kubeconfigs.Controller)...).CombinedOutput(); err != nil {
			t.Errorf("minilb %s: %v\n%s", args, err, out)
		}
	}

	for account, kubeconfig := range map[string]string{harness.DNSAccount: kubeconfigs.DNS, harness.ControllerAccount: kubeconfigs.Controller} {
		user := "system:serviceaccount:" + harness.ShippedNamespace + ":" + account
		given := map[string]bool{}
		for right := range rules(t, kubeconfig) {
			given[right] = true
		}
		cluster.Eventually(t, 10*time.Second, func() error {
			requests, err := c.Requests()
			if err != nil {
				return err
			}
			used := map[string]bool{}
			for _, r := range requests {
				if r.User != user || strings.HasPrefix(r.URI, "/apis/authorization.k8s.io/") { // which is this test
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
			for right := range used {
				if !given[right] {
					return fmt.Errorf("%s used %q, which it is not given", account, right)
				}
			}
			for right := range given {
				_, resource, _ := strings.Cut(right, " ")
				if !used[right] && !strings.HasPrefix(resource, "/") && !strings.Contains(resource, "authentication.k8s.io") && !strings.Contains(resource, "authorization.k8s.io") {
					return fmt.Errorf("%s does not use %q, only %q", account, right, slices.Sorted(maps.Keys(used)))
				}
			}
			return nil
		})
	}
}

// awaitRequest waits until an account has watched a kind.
func awaitRequest(t *testing.T, c *cluster.Cluster, resource, account string) {
	t.Helper()
	cluster.Eventually(t, 10*time.Second, func() error {
		requests, err := c.Requests()
		if err != nil {
			return err
		}
		for _, r := range requests {
			if r.User == "system:serviceaccount:"+harness.ShippedNamespace+":"+account && strings.HasPrefix(r.Resource, resource+".") && r.Verb == "watch" {
				return nil
			}
		}
		return fmt.Errorf("%s does not watch %s", account, resource)
	})
}
