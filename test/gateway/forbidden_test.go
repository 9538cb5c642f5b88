package gateway_test

import (
	"github.com/minilb/minilb/test/harness"

	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/minilb/minilb/test/cluster"
)

// TestGatewayLifecycle starts without the Gateway API, which is then installed, changed under
// the server and taken away, while Services and Ingresses are answered all the time (G5, G7).
func TestGatewayLifecycle(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	up := harness.StartUpstream(t)
	s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(kubeconfig, up))
	if code, body := harness.Get(s.Ready); code != http.StatusOK {
		t.Errorf("without the Gateway API: /ready is %d %s once the server listens\n%s", code, body, s.Log)
	}
	harness.Must(t, harness.SyncedAlone(s, nil))
	stop := harness.KeepAsking(t, s, "web.edge.minilb", "ingress.ex.org")
	r := harness.NewestGateways

	// Routes can be there before the kinds that they lead to.
	harness.ApplyTogether(t, c, r.Definitions(t, "httproutes", "grpcroutes", "tlsroutes"))
	routes := slices.DeleteFunc(harness.Documents(t, r.Objects()), func(object string) bool { return !strings.Contains(object, "Route\nmetadata:") })
	harness.Must(t, c.Apply(t.Context(), strings.Join(routes, "\n---\n")))
	cluster.Eventually(t, 10*time.Second, func() error {
		if _, metrics := harness.Get(s.Prom); !strings.Contains(metrics, `coredns_minilb_synced{source="tlsroute"} 1`) {
			return fmt.Errorf("TLSRoutes are not synced yet:\n%s", harness.Grep(metrics, "synced"))
		}
		return nil
	})
	harness.Must(t, harness.Forwarded(s, harness.GatewayNames...))
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
	cluster.Eventually(t, 10*time.Second, func() error { return harness.SyncedAlone(s, r.Served()) })

	t.Run("one kind is deleted", func(t *testing.T) {
		stop := harness.KeepAsking(t, s, r.NamesBut("grpc-v1.ex.org")...)
		harness.DeleteDefinitions(t, c, "grpcroutes")
		without := r
		without.GrpcRoutes = nil
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, without) })
		cluster.Eventually(t, 10*time.Second, func() error { return harness.SyncedAlone(s, without.Served()) })
		harness.ApplyTogether(t, c, r.Definitions(t, "grpcroutes"))
		harness.Must(t, c.Apply(t.Context(), harness.GatewayRoute("GRPCRoute", "v1", "grpc-v1", "name: gateway-v1")))
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
		stop()
	})
	t.Run("one kind is no longer served", func(t *testing.T) {
		// Its objects stay, and no watch ever hears that they are gone (G6).
		stop := harness.KeepAsking(t, s, r.NamesBut("tls-v1.ex.org")...)
		definition := r.Definitions(t, "tlsroutes")
		unserved := strings.ReplaceAll(definition, "    served: true\n", "    served: false\n")
		if unserved == definition {
			t.Fatal("the definition of TLSRoutes serves no version")
		}
		harness.Must(t, c.Apply(t.Context(), unserved))
		without := r
		without.TlsRoutes = nil
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, without) })
		cluster.Eventually(t, 10*time.Second, func() error { return harness.SyncedAlone(s, without.Served()) })
		harness.Must(t, c.Apply(t.Context(), definition))
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
		stop()
	})
	t.Run("all are deleted and come back", func(t *testing.T) {
		harness.DeleteDefinitions(t, c)
		cluster.Eventually(t, 10*time.Second, func() error { return harness.Forwarded(s, harness.GatewayNames...) })
		cluster.Eventually(t, 10*time.Second, func() error { return harness.SyncedAlone(s, nil) })
		// Another release, so that nothing of the first can be taken for it.
		again := harness.GatewayReleases[0]
		harness.ApplyTogether(t, c, again.Definitions(t))
		harness.Must(t, c.Apply(t.Context(), again.Objects()))
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, again) })
		cluster.Eventually(t, 10*time.Second, func() error { return harness.SyncedAlone(s, again.Served()) })
	})
	stop()
	if lines := complaints(s); len(lines) > 0 {
		t.Errorf("it warns: %q", lines)
	}
}

// TestTLSRouteVersions upgrades the Gateway API under TLSRoutes that were made in the versions
// before v1. They are answered all the time, and followed afterwards (G5, G6).
func TestTLSRouteVersions(t *testing.T) {
	t.Parallel()
	before := harness.GatewayReleases[5] // v1.4.1 experimental: v1alpha3 is stored, v1alpha2 is served
	experimental := harness.GatewayReleases[7]
	standard := harness.GatewayReleases[6] // no longer serves v1alpha3 and v1alpha2
	for name, steps := range map[string][]harness.GatewayRelease{
		"served beside v1 for a while": {experimental, standard},
		"replaced by v1 at once":       {standard},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster.New(t, cluster.Options{Audit: true})
			kubeconfig := harness.ShippedAccounts(t, c).DNS
			harness.ExposeGateways(t, c)
			harness.ApplyTogether(t, c, before.Definitions(t))
			harness.Must(t, c.Apply(t.Context(), before.Objects()))
			s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t)))
			s.WaitReady(t)
			cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, before) })

			stop := harness.KeepAsking(t, s, before.NamesBut()...)
			for _, r := range steps {
				began := time.Now()
				harness.Must(t, c.Apply(t.Context(), r.Definitions(t, "tlsroutes")))
				cluster.Eventually(t, 10*time.Second, func() error { return watched(c, "tlsroutes", "v1") })
				t.Logf("%s %s: the version is watched %v after its definition was applied", r.Release, r.Channel, time.Since(began))
				time.Sleep(2 * time.Second) // whatever comes of the old version's end
			}
			stop()

			// What happens to the routes now is seen.
			route := harness.GatewayRoute("TLSRoute", "v1", "tls-v1alpha3", "name: gateway-v1")
			harness.Must(t, c.Apply(t.Context(), strings.Replace(route, "[tls-v1alpha3.ex.org]", "[renamed.ex.org]", 1)+
				harness.GatewayRoute("TLSRoute", "v1", "tls-v1", "name: gateway-v1")))
			harness.Must(t, c.Delete(t.Context(), harness.GatewayRoute("TLSRoute", "v1", "tls-v1alpha2", "name: gateway-v1")))
			cluster.Eventually(t, 10*time.Second, func() error {
				return errors.Join(s.Expect("renamed.ex.org", dns.TypeA, harness.GatewayPod), s.Expect("tls-v1.ex.org", dns.TypeA, harness.GatewayPod),
					harness.Forwarded(s, "tls-v1alpha3.ex.org", "tls-v1alpha2.ex.org"))
			})
			if lines := complaints(s); len(lines) > 0 {
				t.Errorf("it warns: %q", lines)
			}
		})
	}
}

// watched returns an error unless a kind is watched in this version and in no other.
func watched(c *cluster.Cluster, resource, version string) error {
	requests, err := c.Requests()
	if err != nil {
		return err
	}
	open := map[string]int{}
	for _, r := range requests {
		path, _, _ := strings.Cut(r.URI, "?")
		if r.Verb != "watch" || r.Code != http.StatusOK || !strings.HasPrefix(r.User, "system:serviceaccount:"+harness.ShippedNamespace) || !strings.HasSuffix(path, "/"+resource) {
			continue
		}
		switch r.Stage {
		case "ResponseStarted":
			open[path]++
		case "ResponseComplete":
			open[path]--
		}
	}
	maps.DeleteFunc(open, func(_ string, n int) bool { return n == 0 })
	if want := "/apis/" + harness.GatewayGroup + "/" + version + "/" + resource; open[want] != 1 || len(open) != 1 {
		return fmt.Errorf("got watches %v, want one of %s", open, want)
	}
	return nil
}

// TestGatewayKindAbsent starts a server while one kind of the Gateway API is not installed: it
// is not waited for, and found when it comes (G5, G7).
func TestGatewayKindAbsent(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	r := harness.NewestGateways
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.DeleteDefinitions(t, c, "httproutes")
	var rest []string
	for _, object := range harness.Documents(t, r.Objects()) {
		if !strings.Contains(object, "kind: HTTPRoute\nmetadata:") {
			rest = append(rest, object)
		}
	}
	harness.Must(t, c.Apply(t.Context(), strings.Join(rest, "\n---\n")))

	s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t)))
	if code, body := harness.Get(s.Ready); code != http.StatusOK {
		t.Errorf("/ready is %d %s once the server listens\n%s", code, body, s.Log)
	}
	stop := harness.KeepAsking(t, s, "grpc-v1.ex.org", "tls-v1.ex.org")
	harness.Must(t, harness.Forwarded(s, "http-v1.ex.org", "http-v1beta1.ex.org", "set.ex.org", "selected.ex.org"))
	if _, metrics := harness.Get(s.Prom); strings.Contains(metrics, `{source="httproute"}`) || !strings.Contains(metrics, `coredns_minilb_synced{source="grpcroute"} 1`) {
		t.Errorf("without HTTPRoutes: metrics\n%s", harness.Grep(metrics, "synced"))
	}
	if lines := complaints(s); len(lines) > 0 {
		t.Errorf("it warns: %q", lines)
	}
	harness.ApplyTogether(t, c, r.Definitions(t, "httproutes"))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
	stop()
}

// TestGatewayForbidden takes the right to one kind from the server's account: the others are
// served, and that one, too, once the right is given back (G7).
func TestGatewayForbidden(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	harness.ShippedAccounts(t, c)
	harness.ExposeGateways(t, c)
	r := harness.NewestGateways
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	up := harness.StartUpstream(t)
	all := r.NamesBut()
	for _, test := range []struct {
		resource, group string
		gone            []string
	}{
		{"httproutes", harness.GatewayGroup, []string{"http-v1.ex.org", "http-v1beta1.ex.org", "set.ex.org", "selected.ex.org"}},
		{"grpcroutes", harness.GatewayGroup, []string{"grpc-v1.ex.org"}},
		{"tlsroutes", harness.GatewayGroup, []string{"tls-v1.ex.org"}},
		{"listenersets", harness.GatewayGroup, []string{"set.ex.org"}},
		{"gateways", harness.GatewayGroup, all},
		{"gatewayclasses", harness.GatewayGroup, nil},   // G21: the controller cannot be compared, and is not
		{"namespaces", "", []string{"selected.ex.org"}}, // G16
	} {
		t.Run(test.resource, func(t *testing.T) {
			what := strings.TrimSuffix(test.resource+"."+test.group, ".")
			shipped := harness.ShippedObject[rbacv1.ClusterRole](t, harness.Rendered(t, harness.Base), "ClusterRole", harness.DNSAccount).Rules
			account := grantWithout(t, c, "no-"+test.resource, shipped, test.resource)
			s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(account, up))
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
			harness.Must(t, s.Expect("web.edge.minilb", dns.TypeA, harness.GatewayPod))
			harness.Must(t, s.Expect("ingress.ex.org", dns.TypeA, harness.GatewayPod))
			for _, name := range r.NamesBut(test.gone...) {
				harness.Must(t, s.Expect(name, dns.TypeA, r.Names()[name]))
			}
			_, metrics := harness.Get(s.Prom)
			for line := range strings.Lines(harness.Grep(metrics, "coredns_minilb_synced")) {
				own := strings.Contains(line, `{source="`+harness.SourceOf(test.resource)+`"}`)
				if synced := strings.HasSuffix(line, " 1\n"); synced == own {
					t.Errorf("metrics: %s", line)
				}
			}
			if !strings.Contains(metrics, `coredns_minilb_synced{source="`+harness.SourceOf(test.resource)+`"} 0`) {
				t.Errorf("metrics do not tell of %s:\n%s", test.resource, harness.Grep(metrics, "synced"))
			}

			stop := harness.KeepAsking(t, s, append(r.NamesBut(test.gone...), "web.edge.minilb")...)
			granted := time.Now()
			grantWithout(t, c, "no-"+test.resource, shipped, "")
			cluster.Eventually(t, 30*time.Second, func() error { return errors.Join(harness.AnswersGateways(s, r), harness.SyncedAlone(s, r.Served())) })
			t.Logf("answered %v after the right was given", time.Since(granted).Round(time.Millisecond))
			stop()
			harness.Must(t, onlyWarning())
		})
	}
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

// TestGatewayOutage restarts the API server, which may not know at once what it serves: no
// answer is lost, and what changes afterwards is seen (G5).
func TestGatewayOutage(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	r := harness.GatewayReleases[5] // kinds in both groups
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t)))
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
	stop := harness.KeepAsking(t, s, r.NamesBut()...)
	for i := range 3 {
		harness.Must(t, c.StopAPIServer())
		time.Sleep(time.Second) // discovery fails meanwhile
		harness.Must(t, c.StartAPIServer(t.Context()))
		started := time.Now()
		name := fmt.Sprintf("after-%d", i)
		harness.Must(t, cluster.Wait(t.Context(), 10*time.Second, func() error { // the definitions may not be served at once
			return c.Apply(t.Context(), harness.GatewayRoute("TLSRoute", "v1alpha3", name, "name: gateway-v1")+harness.GatewayRoute("HTTPRoute", "v1", name+"-set", "name: set, group: "+harness.ExperimentalGatewayGroup+", kind: XListenerSet"))
		}))
		cluster.Eventually(t, 40*time.Second, func() error {
			return errors.Join(s.Expect(name+".ex.org", dns.TypeA, harness.GatewayPod), s.Expect(name+"-set.ex.org", dns.TypeA, harness.GatewayPod))
		})
		t.Logf("new routes are answered %v after the API server's start", time.Since(started).Round(time.Millisecond))
	}
	stop()
	cluster.Eventually(t, 10*time.Second, func() error { return errors.Join(harness.AnswersGateways(s, r), harness.SyncedAlone(s, r.Served())) })
}

// TestGatewayDiscoveryInterval installs the Gateway API beside a server as it is shipped (G5).
func TestGatewayDiscoveryInterval(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t)))
	s.WaitReady(t)
	r := harness.NewestGateways
	harness.ApplyTogether(t, c, r.Definitions(t))
	harness.Must(t, c.Apply(t.Context(), r.Objects()))
	installed := time.Now()
	cluster.Eventually(t, time.Minute-time.Since(installed), func() error { return harness.AnswersGateways(s, r) })
	t.Logf("routes are answered %v after the Gateway API was installed", time.Since(installed).Round(100*time.Millisecond))
}
