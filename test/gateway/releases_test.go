package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayReleases installs one release after the other. A server that starts with it and
// one that has seen them all come and go answer the names of every kind it serves in whatever
// version, and no others (G2, G3, G4). The latter starts without the Gateway API, and answers
// Services and Ingresses all the time (G5, G7).
func TestGatewayReleases(t *testing.T) {
	t.Parallel()
	var releases []string
	for _, r := range harness.GatewayReleases {
		releases = append(releases, r.Release)
	}
	if got := slices.Compact(releases); !slices.Equal(got, cluster.GatewayAPIReleases) {
		t.Errorf("the table has releases %q, want %q", got, cluster.GatewayAPIReleases)
	}

	c := cluster.New(t, cluster.Options{Audit: true})
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.ExposeGateways(t, c)
	up := harness.StartUpstream(t)
	// It reads as the administrator, so that its requests are told from the others'.
	old := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(c.Kubeconfig, up))
	if code, body := harness.Get(old.Ready); code != http.StatusOK {
		t.Errorf("without the Gateway API: /ready is %d %s once the server listens\n%s", code, body, old.Log)
	}
	harness.Must(t, syncedAlone(old, nil))
	stop := harness.KeepAsking(t, old, "web.edge.minilb", "ingress.ex.org")
	for _, r := range harness.GatewayReleases {
		name := r.Release + " " + r.Channel
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() {
				harness.DeleteDefinitions(t, c)
				// The test's own context is done by now.
				if err := cluster.Wait(context.Background(), 10*time.Second, func() error {
					return errors.Join(harness.Forwarded(old, harness.GatewayNames...), syncedAlone(old, nil))
				}); err != nil {
					t.Error(err)
				}
			})
			if name == "v1.6.3 standard" {
				testRoutesFirst(t, c, old, r)
			}
			harness.ApplyTogether(t, c, r.Definitions(t))
			cluster.Eventually(t, 10*time.Second, func() error { return discovers(c, r) })
			harness.Must(t, c.Apply(t.Context(), r.Objects()))

			began := time.Now()
			fresh := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up))
			if code, body := harness.Get(fresh.Ready); code != http.StatusOK { // no kind that is absent is waited for
				t.Errorf("/ready is %d %s once the server listens\n%s", code, body, fresh.Log)
			}
			for _, s := range []*harness.CoreDNS{fresh, old} {
				cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
			}
			harness.Must(t, syncedAlone(fresh, r.Served()))
			cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(old, r.Served()) })
			if lines := complaints(fresh); len(lines) > 0 {
				t.Errorf("it warns: %q", lines)
			}
			// G3: in the first version that is served, and only there.
			requests, err := c.Requests()
			harness.Must(t, err)
			var got, want []string
			for _, request := range requests {
				path, _, _ := strings.Cut(request.URI, "?")
				if request.Verb == "watch" && request.Stage == "ResponseStarted" && request.Code == http.StatusOK && strings.HasPrefix(path, "/apis/gateway.") &&
					request.User == "system:serviceaccount:"+harness.ShippedNamespace+":"+harness.DNSAccount && !request.Time.Before(began) {
					got = append(got, path)
				}
			}
			for resource, versions := range r.Served() {
				if len(versions) > 0 {
					resource, group, _ := strings.Cut(resource, ".")
					want = append(want, "/apis/"+group+"/"+versions[0]+"/"+resource)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got watches %q, want %q", got, want)
			}
			fresh.Stop(t)
			switch name {
			case "v1.4.1 experimental":
				testOldCases(t, c, old)
				testTLSRouteUpgrade(t, c, old, r)
			case "v1.6.3 standard":
				testKindsComeAndGo(t, c, old, r)
				testBothListenerSets(t, c, old, r)
			}
		})
	}
	stop()
	if lines := complaints(old); len(lines) > 0 {
		t.Errorf("the server that saw all releases warns: %q", lines)
	}
}

// discovers returns an error unless the API server serves what the table says.
func discovers(c *cluster.Cluster, r harness.GatewayRelease) error {
	groups, err := c.Client.Discovery().ServerGroups()
	if err != nil {
		return err
	}
	got := map[string][]string{}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			if group.Name != harness.GatewayGroup && group.Name != harness.ExperimentalGatewayGroup {
				continue
			}
			list, err := c.Client.Discovery().ServerResourcesForGroupVersion(version.GroupVersion)
			if err != nil {
				return err
			}
			for _, resource := range list.APIResources {
				got[resource.Name+"."+group.Name] = append(got[resource.Name+"."+group.Name], version.Version)
			}
		}
	}
	for resource, versions := range r.Served() {
		if !slices.Equal(slices.Sorted(slices.Values(got[resource])), slices.Sorted(slices.Values(versions))) {
			return fmt.Errorf("%s are served as %q, want %q", resource, got[resource], versions)
		}
	}
	return nil
}

// testRoutesFirst installs the kinds of routes, with routes, before those that they lead to.
func testRoutesFirst(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, r harness.GatewayRelease) {
	t.Helper()
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
}

// testKindsComeAndGo takes single kinds away from a release that is served, and brings them
// back: the others are answered all the time (G5).
func testKindsComeAndGo(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, r harness.GatewayRelease) {
	t.Run("one kind is deleted", func(t *testing.T) {
		stop := harness.KeepAsking(t, s, r.NamesBut("grpc-v1.ex.org")...)
		harness.DeleteDefinitions(t, c, "grpcroutes")
		without := r
		without.GrpcRoutes = nil
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, without) })
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, without.Served()) })
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
		cluster.Eventually(t, 10*time.Second, func() error { return syncedAlone(s, without.Served()) })
		harness.Must(t, c.Apply(t.Context(), definition))
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
		stop()
	})
}

// testBothListenerSets adds the XListenerSets of an older release, which some controllers still read: both
// kinds are answered, and the one goes without the other (G3).
func testBothListenerSets(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, r harness.GatewayRelease) {
	t.Run("XListenerSets beside ListenerSets", func(t *testing.T) {
		stop := harness.KeepAsking(t, s, r.NamesBut()...)
		older := harness.GatewayReleases[5]
		harness.ApplyTogether(t, c, older.Definitions(t, "xlistenersets"))
		harness.Must(t, c.Apply(t.Context(), harness.OfKinds(t, older.Objects(), "XListenerSet")+"\n---\n"+
			harness.GatewayRoute("HTTPRoute", "v1", "oldset", "name: set, kind: XListenerSet, group: "+harness.ExperimentalGatewayGroup)))
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("oldset.ex.org", dns.TypeA, harness.GatewayPod) })
		harness.DeleteDefinitions(t, c, "xlistenersets")
		cluster.Eventually(t, 10*time.Second, func() error { return harness.Forwarded(s, "oldset.ex.org") })
		stop()
	})
}

// testTLSRouteUpgrade replaces the versions of TLSRoutes before v1 by v1 alone. Routes that were
// made before, in v1alpha3 and v1alpha2, are answered all the time, and followed afterwards (G5, G6).
func testTLSRouteUpgrade(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, r harness.GatewayRelease) {
	t.Run("TLSRoutes become v1", func(t *testing.T) {
		stop := harness.KeepAsking(t, s, r.NamesBut()...)
		standard := harness.GatewayReleases[6] // does not serve v1alpha3 and v1alpha2
		began := time.Now()
		harness.Must(t, c.Apply(t.Context(), standard.Definitions(t, "tlsroutes")))
		cluster.Eventually(t, 10*time.Second, func() error { return watched(c, "tlsroutes", "v1") })
		t.Logf("the version is watched %v after its definition was applied", time.Since(began))
		time.Sleep(time.Second) // two rounds of discovery after the old version's watch has ended
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
	})
}

// watched returns an error unless the administrator watches a kind in this version and in no other.
func watched(c *cluster.Cluster, resource, version string) error {
	requests, err := c.Requests()
	if err != nil {
		return err
	}
	open := map[string]int{}
	for _, r := range requests {
		path, _, _ := strings.Cut(r.URI, "?")
		if r.Verb != "watch" || r.Code != http.StatusOK || r.User != "admin" || !strings.HasSuffix(path, "/"+resource) {
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

// complaints returns the warnings and errors of the plugin.
func complaints(s *harness.CoreDNS) []string {
	return slices.Concat(s.Log.Lines("[WARNING] plugin/minilb:"), s.Log.Lines("[ERROR] plugin/minilb:"))
}

// syncedAlone returns an error unless the metrics list exactly these sources, all synced: those of
// Services, Ingresses and Namespaces and, of the Gateway API, the kinds of which some version is served.
func syncedAlone(s *harness.CoreDNS, served map[string][]string) error {
	_, metrics := harness.Get(s.Prom)
	want := map[string]string{"service": "1", "endpointslice": "1", "ingress": "1", "namespace": "1"}
	for resource, versions := range served {
		if len(versions) > 0 {
			want[sourceOf(resource)] = "1"
		}
	}
	got := map[string]string{}
	for line := range strings.Lines(harness.Grep(metrics, "coredns_minilb_synced")) {
		source, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), `coredns_minilb_synced{source="`), `"} `)
		got[source] = value
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("got synced %v, want %v", got, want)
	}
	return nil
}

// sourceOf returns the label that metrics have for a resource: httproute for httproutes.
func sourceOf(resource string) string {
	resource, _, _ = strings.Cut(resource, ".")
	if singular, ok := strings.CutSuffix(resource, "sses"); ok {
		return singular + "ss" // gatewayclass, ingress
	}
	return strings.TrimSuffix(resource, "s")
}
