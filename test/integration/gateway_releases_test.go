package integration_test

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
)

// TestGatewayReleases installs one release after the other. A server that starts with it and
// one that has seen them all come and go answer the names of every kind it serves in whatever
// version, and no others (G2, G3, G4).
func TestGatewayReleases(t *testing.T) {
	t.Parallel()
	var releases []string
	for _, r := range gatewayReleases {
		releases = append(releases, r.release)
	}
	if got := slices.Compact(releases); !slices.Equal(got, cluster.GatewayAPIReleases) {
		t.Errorf("the table has releases %q, want %q", got, cluster.GatewayAPIReleases)
	}

	c := cluster.New(t, cluster.Options{Audit: true})
	kubeconfig := shippedAccounts(t, c).dns
	exposeGateways(t, c)
	up := startUpstream(t)
	// It reads as the administrator, so that its requests are told from the others'.
	old := startRediscoveringCoreDNS(t, resolverFor(c.Kubeconfig, up))
	old.waitReady(t)
	stop := keepAsking(t, old, "web.edge.minilb", "ingress.ex.org")
	for _, r := range gatewayReleases {
		t.Run(r.release+" "+r.channel, func(t *testing.T) {
			applyTogether(t, c, r.definitions(t))
			t.Cleanup(func() {
				deleteDefinitions(t, c)
				// The test's own context is done by now.
				if err := cluster.Wait(context.Background(), 10*time.Second, func() error { return forwarded(old, gatewayNames...) }); err != nil {
					t.Error(err)
				}
			})
			cluster.Eventually(t, 10*time.Second, func() error { return discovers(c, r) })
			must(t, c.Apply(t.Context(), r.objects()))

			began := time.Now()
			fresh := startCoreDNS(t, resolverFor(kubeconfig, up))
			fresh.waitReady(t)
			for _, s := range []*coredns{fresh, old} {
				cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
			}
			if err := syncedAlone(fresh, r.served()); err != nil {
				t.Error(err)
			}
			if lines := complaints(fresh); len(lines) > 0 {
				t.Errorf("it warns: %q", lines)
			}
			// G3: in the first version that is served, and only there.
			requests, err := c.Requests()
			must(t, err)
			var got, want []string
			for _, request := range requests {
				path, _, _ := strings.Cut(request.URI, "?")
				if request.Verb == "watch" && request.Stage == "ResponseStarted" && request.Code == http.StatusOK && strings.HasPrefix(path, "/apis/gateway.") &&
					request.User == "system:serviceaccount:"+shippedNamespace+":"+dnsAccount && !request.Time.Before(began) {
					got = append(got, path)
				}
			}
			for resource, versions := range r.served() {
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
		})
	}
	stop()
	if lines := complaints(old); len(lines) > 0 {
		t.Errorf("the server that saw all releases warns: %q", lines)
	}
}

// discovers returns an error unless the API server serves what the table says.
func discovers(c *cluster.Cluster, r gatewayRelease) error {
	groups, err := c.Client.Discovery().ServerGroups()
	if err != nil {
		return err
	}
	got := map[string][]string{}
	for _, group := range groups.Groups {
		for _, version := range group.Versions {
			if group.Name != gatewayGroup && group.Name != experimentalGatewayGroup {
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
	for resource, versions := range r.served() {
		if !slices.Equal(slices.Sorted(slices.Values(got[resource])), slices.Sorted(slices.Values(versions))) {
			return fmt.Errorf("%s are served as %q, want %q", resource, got[resource], versions)
		}
	}
	return nil
}

// answersGateways returns an error unless the server answers what stands in the cluster beside
// objects and, of the Gateway API, the release's names alone.
func answersGateways(s *coredns, r gatewayRelease) error {
	errs := []error{s.expect("web.edge.minilb", dns.TypeA, gatewayPod), s.expect("ingress.ex.org", dns.TypeA, gatewayPod)}
	for _, name := range gatewayNames {
		if address := r.names()[name]; address != "" {
			errs = append(errs, s.expect(name, dns.TypeA, address))
		} else {
			errs = append(errs, forwarded(s, name))
		}
	}
	return errors.Join(errs...)
}

// forwarded returns an error unless the names do not exist here.
func forwarded(s *coredns, names ...string) error {
	var errs []error
	for _, name := range names {
		reply, err := s.ask("udp", name, dns.TypeA)
		if err == nil && (reply.Authoritative || len(reply.Answer) != 1 || reply.Answer[0].Header().Rrtype != dns.TypeTXT) {
			err = fmt.Errorf("%s is answered here: %v", name, reply.Answer)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// syncedAlone returns an error unless the metrics tell of these kinds of the Gateway API, of
// which some version is served, as synced, and of no others.
func syncedAlone(s *coredns, served map[string][]string) error {
	_, metrics := get(s.prom)
	want := map[string]string{"service": "1", "endpointslice": "1", "ingress": "1"}
	for resource, versions := range served {
		if len(versions) > 0 {
			want[sourceOf(resource)], want["namespace"] = "1", "1"
		}
	}
	got := map[string]string{}
	for line := range strings.Lines(grep(metrics, "coredns_minilb_synced")) {
		source, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), `coredns_minilb_synced{source="`), `"} `)
		got[source] = value
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("got synced %v, want %v", got, want)
	}
	return nil
}

// complaints returns the warnings and errors of the plugin.
func complaints(s *coredns) []string {
	return slices.Concat(s.log.lines("[WARNING] plugin/minilb:"), s.log.lines("[ERROR] plugin/minilb:"))
}

// sourceOf returns how metrics name a resource.
func sourceOf(resource string) string {
	resource, _, _ = strings.Cut(resource, ".")
	if resource == "gatewayclasses" {
		return "gatewayclass"
	}
	return strings.TrimSuffix(resource, "s")
}
