package gateway_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayForbidden takes the right to one kind from the server's account: the others are
// served, and that one, too, once the right is given back (G7). So it goes with Ingresses. Beside
// them, discovery fails.
func TestGatewayForbidden(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	dnsAccount := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	r := harness.NewestGateways
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	up := harness.StartUpstream(t)
	all := r.NamesBut()
	shipped := harness.ShippedObject[rbacv1.ClusterRole](t, harness.Rendered(t, harness.Base), "ClusterRole", harness.DNSAccount).Rules
	for _, test := range []struct {
		resource, group string
		gone            []string
	}{
		{"httproutes", harness.GatewayGroup, []string{"http-v1.ex.org", "http-v1beta1.ex.org", "set.ex.org", "selected.ex.org"}},
		{"listenersets", harness.GatewayGroup, []string{"set.ex.org"}},
		{"gateways", harness.GatewayGroup, all},
		{"gatewayclasses", harness.GatewayGroup, nil},   // G21: the controller cannot be compared, and is not
		{"namespaces", "", []string{"selected.ex.org"}}, // G16
		{"ingresses", "networking.k8s.io", []string{"ingress.ex.org"}},
	} {
		t.Run(test.resource, func(t *testing.T) {
			t.Parallel()
			what := strings.TrimSuffix(test.resource+"."+test.group, ".")
			account := grantWithout(t, c, "no-"+test.resource, shipped, test.resource)
			// On a busy machine it takes long until a refusal counts.
			s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(account, up, "startup_timeout 25s"))
			s.WaitReady(t)
			onlyWarning := func() error {
				warnings := complaints(s)
				if len(warnings) != 1 || !strings.Contains(warnings[0], what+": list and watch is forbidden") || !strings.Contains(warnings[0], "grant list and watch on "+what) {
					return fmt.Errorf("got %q, want one line about %s", warnings, what)
				}
				return nil
			}
			cluster.Eventually(t, 10*time.Second, onlyWarning) // where requests take long, the kind is no longer waited for before that
			harness.Must(t, harness.Forwarded(s, test.gone...))
			served := map[string]string{"web.edge.minilb": harness.GatewayPod, "ingress.ex.org": harness.GatewayPod}
			maps.Copy(served, r.Names())
			maps.DeleteFunc(served, func(name, _ string) bool { return slices.Contains(test.gone, name) })
			for name, address := range served {
				harness.Must(t, s.Expect(name, dns.TypeA, address))
			}
			_, metrics := harness.Get(s.Prom)
			for line := range strings.Lines(harness.Grep(metrics, "coredns_minilb_synced")) {
				own := strings.Contains(line, `{source="`+sourceOf(test.resource)+`"}`)
				if synced := strings.HasSuffix(line, " 1\n"); synced == own {
					t.Errorf("metrics: %s", line)
				}
			}
			if !strings.Contains(metrics, `coredns_minilb_synced{source="`+sourceOf(test.resource)+`"} 0`) {
				t.Errorf("metrics do not tell of %s:\n%s", test.resource, harness.Grep(metrics, "synced"))
			}

			stop := harness.KeepAsking(t, s, slices.Sorted(maps.Keys(served))...)
			granted := time.Now()
			grantWithout(t, c, "no-"+test.resource, shipped, "")
			cluster.Eventually(t, 30*time.Second, func() error { return errors.Join(harness.AnswersGateways(s, r), syncedAlone(s, r.Served())) })
			t.Logf("answered %v after the right was given", time.Since(granted).Round(time.Millisecond))
			stop()
			harness.Must(t, onlyWarning())
		})
	}
	t.Run("discovery", func(t *testing.T) {
		t.Parallel()
		testDiscoveryFails(t, c, dnsAccount, r)
	})
}

// grantWithout gives an account of this name the rules without one resource, as often as it is
// called, and returns a kubeconfig of it.
func grantWithout(t *testing.T, c *cluster.Cluster, name string, rules []rbacv1.PolicyRule, resource string) string {
	t.Helper()
	var grants []string
	for _, rule := range rules {
		resources := slices.DeleteFunc(slices.Clone(rule.Resources), func(r string) bool { return r == resource })
		if len(resources) > 0 {
			grants = append(grants, fmt.Sprintf(`{apiGroups: ["%s"], resources: [%s], verbs: [%s]}`,
				strings.Join(rule.APIGroups, `", "`), strings.Join(resources, ", "), strings.Join(rule.Verbs, ", ")))
		}
	}
	harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: creds}}\n"+harness.Role(name, grants...)))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), "creds", name)
	harness.Must(t, err)
	return kubeconfig
}
