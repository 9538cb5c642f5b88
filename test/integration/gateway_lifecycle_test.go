package integration_test

import (
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
	kubeconfig := shippedAccounts(t, c).dns
	exposeGateways(t, c)
	up := startUpstream(t)
	s := startRediscoveringCoreDNS(t, resolverFor(kubeconfig, up))
	if code, body := get(s.ready); code != http.StatusOK {
		t.Errorf("without the Gateway API: /ready is %d %s once the server listens\n%s", code, body, s.log)
	}
	must(t, syncedAlone(s, nil))
	stop := keepAsking(t, s, "web.edge.minilb", "ingress.ex.org")
	r := newestGateways

	// Routes can be there before the kinds that they lead to.
	applyTogether(t, c, r.definitions(t, "httproutes", "grpcroutes", "tlsroutes"))
	routes := slices.DeleteFunc(documents(t, r.objects()), func(object string) bool { return !strings.Contains(object, "Route\nmetadata:") })
	must(t, c.Apply(t.Context(), strings.Join(routes, "\n---\n")))
	cluster.Eventually(t, 10*time.Second, func() error {
		if _, metrics := get(s.prom); !strings.Contains(metrics, `coredns_minilb_synced{source="tlsroute"} 1`) {
			return fmt.Errorf("TLSRoutes are not synced yet:\n%s", grep(metrics, "synced"))
		}
		return nil
	})
	must(t, forwarded(s, gatewayNames...))
	applyTogether(t, c, r.definitions(t))
	must(t, c.Apply(t.Context(), r.objects()))
	cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
	cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, r.served()) })

	t.Run("one kind is deleted", func(t *testing.T) {
		stop := keepAsking(t, s, r.namesBut("grpc-v1.ex.org")...)
		deleteDefinitions(t, c, "grpcroutes")
		without := r
		without.grpcRoutes = nil
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, without) })
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, without.served()) })
		applyTogether(t, c, r.definitions(t, "grpcroutes"))
		must(t, c.Apply(t.Context(), gatewayRoute("GRPCRoute", "v1", "grpc-v1", "name: gateway-v1")))
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
		stop()
	})
	t.Run("one kind is no longer served", func(t *testing.T) {
		// Its objects stay, and no watch ever hears that they are gone (G6).
		stop := keepAsking(t, s, r.namesBut("tls-v1.ex.org")...)
		definition := r.definitions(t, "tlsroutes")
		unserved := strings.ReplaceAll(definition, "    served: true\n", "    served: false\n")
		if unserved == definition {
			t.Fatal("the definition of TLSRoutes serves no version")
		}
		must(t, c.Apply(t.Context(), unserved))
		without := r
		without.tlsRoutes = nil
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, without) })
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, without.served()) })
		must(t, c.Apply(t.Context(), definition))
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
		stop()
	})
	t.Run("all are deleted and come back", func(t *testing.T) {
		deleteDefinitions(t, c)
		cluster.Eventually(t, 10*time.Second, func() error { return forwarded(s, gatewayNames...) })
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, nil) })
		// Another release, so that nothing of the first can be taken for it.
		again := gatewayReleases[0]
		applyTogether(t, c, again.definitions(t))
		must(t, c.Apply(t.Context(), again.objects()))
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, again) })
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, again.served()) })
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
	before := gatewayReleases[5] // v1.4.1 experimental: v1alpha3 is stored, v1alpha2 is served
	experimental := gatewayReleases[7]
	standard := gatewayReleases[6] // no longer serves v1alpha3 and v1alpha2
	for name, steps := range map[string][]gatewayRelease{
		"served beside v1 for a while": {experimental, standard},
		"replaced by v1 at once":       {standard},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster.New(t, cluster.Options{Audit: true})
			kubeconfig := shippedAccounts(t, c).dns
			exposeGateways(t, c)
			applyTogether(t, c, before.definitions(t))
			must(t, c.Apply(t.Context(), before.objects()))
			s := startRediscoveringCoreDNS(t, resolverFor(kubeconfig, startUpstream(t)))
			s.waitReady(t)
			cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, before) })

			stop := keepAsking(t, s, before.namesBut()...)
			for _, r := range steps {
				began := time.Now()
				must(t, c.Apply(t.Context(), r.definitions(t, "tlsroutes")))
				cluster.Eventually(t, 10*time.Second, func() error { return watched(c, "tlsroutes", "v1") })
				t.Logf("%s %s: the version is watched %v after its definition was applied", r.release, r.channel, time.Since(began))
				time.Sleep(2 * time.Second) // whatever comes of the old version's end
			}
			stop()

			// What happens to the routes now is seen.
			route := gatewayRoute("TLSRoute", "v1", "tls-v1alpha3", "name: gateway-v1")
			must(t, c.Apply(t.Context(), strings.Replace(route, "[tls-v1alpha3.ex.org]", "[renamed.ex.org]", 1)+
				gatewayRoute("TLSRoute", "v1", "tls-v1", "name: gateway-v1")))
			must(t, c.Delete(t.Context(), gatewayRoute("TLSRoute", "v1", "tls-v1alpha2", "name: gateway-v1")))
			cluster.Eventually(t, 10*time.Second, func() error {
				return errors.Join(s.expect("renamed.ex.org", dns.TypeA, gatewayPod), s.expect("tls-v1.ex.org", dns.TypeA, gatewayPod),
					forwarded(s, "tls-v1alpha3.ex.org", "tls-v1alpha2.ex.org"))
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
		if r.Verb != "watch" || r.Code != http.StatusOK || !strings.HasPrefix(r.User, "system:serviceaccount:"+shippedNamespace) || !strings.HasSuffix(path, "/"+resource) {
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
	if want := "/apis/" + gatewayGroup + "/" + version + "/" + resource; open[want] != 1 || len(open) != 1 {
		return fmt.Errorf("got watches %v, want one of %s", open, want)
	}
	return nil
}

// TestGatewayKindAbsent starts a server while one kind of the Gateway API is not installed: it
// is not waited for, and found when it comes (G5, G7).
func TestGatewayKindAbsent(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := shippedAccounts(t, c).dns
	exposeGateways(t, c)
	r := newestGateways
	applyTogether(t, c, r.definitions(t))
	deleteDefinitions(t, c, "httproutes")
	var rest []string
	for _, object := range documents(t, r.objects()) {
		if !strings.Contains(object, "kind: HTTPRoute\nmetadata:") {
			rest = append(rest, object)
		}
	}
	must(t, c.Apply(t.Context(), strings.Join(rest, "\n---\n")))

	s := startRediscoveringCoreDNS(t, resolverFor(kubeconfig, startUpstream(t)))
	if code, body := get(s.ready); code != http.StatusOK {
		t.Errorf("/ready is %d %s once the server listens\n%s", code, body, s.log)
	}
	stop := keepAsking(t, s, "grpc-v1.ex.org", "tls-v1.ex.org")
	must(t, forwarded(s, "http-v1.ex.org", "http-v1beta1.ex.org", "set.ex.org", "selected.ex.org"))
	if _, metrics := get(s.prom); strings.Contains(metrics, `{source="httproute"}`) || !strings.Contains(metrics, `coredns_minilb_synced{source="grpcroute"} 1`) {
		t.Errorf("without HTTPRoutes: metrics\n%s", grep(metrics, "synced"))
	}
	if lines := complaints(s); len(lines) > 0 {
		t.Errorf("it warns: %q", lines)
	}
	applyTogether(t, c, r.definitions(t, "httproutes"))
	must(t, c.Apply(t.Context(), r.objects()))
	cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
	stop()
}

// TestGatewayForbidden takes the right to one kind from the server's account: the others are
// served, and that one, too, once the right is given back (G7).
func TestGatewayForbidden(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	shippedAccounts(t, c)
	exposeGateways(t, c)
	r := newestGateways
	applyTogether(t, c, r.definitions(t))
	must(t, c.Apply(t.Context(), r.objects()))
	up := startUpstream(t)
	all := r.namesBut()
	for _, test := range []struct {
		resource, group string
		gone            []string
	}{
		{"httproutes", gatewayGroup, []string{"http-v1.ex.org", "http-v1beta1.ex.org", "set.ex.org", "selected.ex.org"}},
		{"grpcroutes", gatewayGroup, []string{"grpc-v1.ex.org"}},
		{"tlsroutes", gatewayGroup, []string{"tls-v1.ex.org"}},
		{"listenersets", gatewayGroup, []string{"set.ex.org"}},
		{"gateways", gatewayGroup, all},
		{"gatewayclasses", gatewayGroup, nil},           // G21: the controller cannot be compared, and is not
		{"namespaces", "", []string{"selected.ex.org"}}, // G16
	} {
		t.Run(test.resource, func(t *testing.T) {
			what := strings.TrimSuffix(test.resource+"."+test.group, ".")
			shipped := shippedObject[rbacv1.ClusterRole](t, rendered(t, base), "ClusterRole", dnsAccount).Rules
			account := grantWithout(t, c, "no-"+test.resource, shipped, test.resource)
			s := startRediscoveringCoreDNS(t, resolverFor(account, up))
			s.waitReady(t)
			onlyWarning := func() error {
				warnings := complaints(s)
				if len(warnings) != 1 || !strings.Contains(warnings[0], what+": list and watch is forbidden") || !strings.Contains(warnings[0], "grant list and watch on "+what) {
					return fmt.Errorf("got %q, want one line about %s", warnings, what)
				}
				return nil
			}
			cluster.Eventually(t, 10*time.Second, onlyWarning) // where requests take long, the kind is no longer waited for before that
			must(t, forwarded(s, test.gone...))
			must(t, s.expect("web.edge.minilb", dns.TypeA, gatewayPod))
			must(t, s.expect("ingress.ex.org", dns.TypeA, gatewayPod))
			for _, name := range r.namesBut(test.gone...) {
				must(t, s.expect(name, dns.TypeA, r.names()[name]))
			}
			_, metrics := get(s.prom)
			for line := range strings.Lines(grep(metrics, "coredns_minilb_synced")) {
				own := strings.Contains(line, `{source="`+sourceOf(test.resource)+`"}`)
				if synced := strings.HasSuffix(line, " 1\n"); synced == own {
					t.Errorf("metrics: %s", line)
				}
			}
			if !strings.Contains(metrics, `coredns_minilb_synced{source="`+sourceOf(test.resource)+`"} 0`) {
				t.Errorf("metrics do not tell of %s:\n%s", test.resource, grep(metrics, "synced"))
			}

			stop := keepAsking(t, s, append(r.namesBut(test.gone...), "web.edge.minilb")...)
			granted := time.Now()
			grantWithout(t, c, "no-"+test.resource, shipped, "")
			cluster.Eventually(t, 30*time.Second, func() error { return errors.Join(answersGateways(s, r), syncedAlone(s, r.served())) })
			t.Logf("answered %v after the right was given", time.Since(granted).Round(time.Millisecond))
			stop()
			must(t, onlyWarning())
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
	must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: creds}}\n"+role(name, grants...)))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), "creds", name)
	must(t, err)
	return kubeconfig
}

// TestGatewayOutage restarts the API server, which may not know at once what it serves: no
// answer is lost, and what changes afterwards is seen (G5).
func TestGatewayOutage(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := shippedAccounts(t, c).dns
	exposeGateways(t, c)
	r := gatewayReleases[5] // kinds in both groups
	applyTogether(t, c, r.definitions(t))
	must(t, c.Apply(t.Context(), r.objects()))
	s := startRediscoveringCoreDNS(t, resolverFor(kubeconfig, startUpstream(t)))
	s.waitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
	stop := keepAsking(t, s, r.namesBut()...)
	for i := range 3 {
		must(t, c.StopAPIServer())
		time.Sleep(time.Second) // discovery fails meanwhile
		must(t, c.StartAPIServer(t.Context()))
		started := time.Now()
		name := fmt.Sprintf("after-%d", i)
		must(t, cluster.Wait(t.Context(), 10*time.Second, func() error { // the definitions may not be served at once
			return c.Apply(t.Context(), gatewayRoute("TLSRoute", "v1alpha3", name, "name: gateway-v1")+gatewayRoute("HTTPRoute", "v1", name+"-set", "name: set, group: "+experimentalGatewayGroup+", kind: XListenerSet"))
		}))
		cluster.Eventually(t, 40*time.Second, func() error {
			return errors.Join(s.expect(name+".ex.org", dns.TypeA, gatewayPod), s.expect(name+"-set.ex.org", dns.TypeA, gatewayPod))
		})
		t.Logf("new routes are answered %v after the API server's start", time.Since(started).Round(time.Millisecond))
	}
	stop()
	cluster.Eventually(t, 10*time.Second, func() error { return errors.Join(answersGateways(s, r), syncedAlone(s, r.served())) })
}

// TestGatewayDiscoveryInterval installs the Gateway API beside a server as it is shipped (G5).
func TestGatewayDiscoveryInterval(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := shippedAccounts(t, c).dns
	exposeGateways(t, c)
	s := startCoreDNS(t, resolverFor(kubeconfig, startUpstream(t)))
	s.waitReady(t)
	r := newestGateways
	applyTogether(t, c, r.definitions(t))
	must(t, c.Apply(t.Context(), r.objects()))
	installed := time.Now()
	cluster.Eventually(t, time.Minute-time.Since(installed), func() error { return answersGateways(s, r) })
	t.Logf("routes are answered %v after the Gateway API was installed", time.Since(installed).Round(100*time.Millisecond))
}

// keepAsking asks for the addresses of names every few milliseconds, and for readiness now and
// then, until the function it returns is called: every name must have an address each time.
func keepAsking(t *testing.T, s *coredns, names ...string) (stop func()) {
	t.Helper()
	began := time.Now()
	done, result := make(chan struct{}), make(chan error, 1)
	var rounds int
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for ; ; rounds++ {
			select {
			case <-done:
				result <- nil
				return
			case <-ticker.C:
			}
			for _, name := range names {
				got, rcode, err := s.answers(name, dns.TypeA)
				if err == nil && len(got) == 0 {
					err = fmt.Errorf("%s: got %s without an address", name, dns.RcodeToString[rcode])
				}
				if err != nil {
					result <- fmt.Errorf("%v after the first question: %w", time.Since(began), err)
					return
				}
			}
			if rounds%50 == 0 {
				if code, body := get(s.ready); code == http.StatusServiceUnavailable {
					result <- fmt.Errorf("%v after the first question: /ready is %d %s", time.Since(began), code, body)
					return
				}
			}
		}
	}()
	return func() {
		t.Helper()
		close(done)
		if err := <-result; err != nil {
			t.Errorf("%v\n%s", err, s.log)
		} else if rounds == 0 {
			t.Error("not a single question was asked")
		}
	}
}
