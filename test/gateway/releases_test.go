package gateway_test

import (
	"github.com/minilb/minilb/test/harness"

	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
)

// TestGatewayReleases installs one release after the other. A server that starts with it and
// one that has seen them all come and go answer the names of every kind it serves in whatever
// version, and no others (G2, G3, G4).
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
	old.WaitReady(t)
	stop := harness.KeepAsking(t, old, "web.edge.minilb", "ingress.ex.org")
	for _, r := range harness.GatewayReleases {
		t.Run(r.Release+" "+r.Channel, func(t *testing.T) {
			harness.ApplyTogether(t, c, r.Definitions(t))
			t.Cleanup(func() {
				harness.DeleteDefinitions(t, c)
				// The test's own context is done by now.
				if err := cluster.Wait(context.Background(), 10*time.Second, func() error { return harness.Forwarded(old, harness.GatewayNames...) }); err != nil {
					t.Error(err)
				}
			})
			cluster.Eventually(t, 10*time.Second, func() error { return discovers(c, r) })
			harness.Must(t, c.Apply(t.Context(), r.Objects()))

			began := time.Now()
			fresh := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up))
			fresh.WaitReady(t)
			for _, s := range []*harness.CoreDNS{fresh, old} {
				cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
			}
			if err := harness.SyncedAlone(fresh, r.Served()); err != nil {
				t.Error(err)
			}
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

// complaints returns the warnings and errors of the plugin.
func complaints(s *harness.CoreDNS) []string {
	return slices.Concat(s.Log.Lines("[WARNING] plugin/minilb:"), s.Log.Lines("[ERROR] plugin/minilb:"))
}
