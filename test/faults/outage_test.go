package faults_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestFaultOutage takes the API server and etcd away, and later restarts the API server alone, under
// load: all questions are answered as before with the normal TTL, the server stays ready, and what has
// changed meanwhile is answered soon after the end (D78). The Gateway API has kinds in both of its
// groups, and an API server that has just started may not know at once what it serves (G5).
func TestFaultOutage(t *testing.T) {
	t.Parallel()
	rate, outage, restarts := 200, 5*time.Second, 1
	if harness.Full {
		rate, outage, restarts = 1000, 5*time.Minute, 3
	}
	c := cluster.New(t, cluster.Options{})
	gateways := harness.GatewayReleases[5] // kinds in both groups
	before, after := state{addr: "10.244.0.2", only: "gone", gateways: &gateways}, state{addr: "10.244.0.3", only: "new"}
	before.make(t, c)
	r := harness.StartRelay(t, c)
	s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(harness.KubeconfigVia(t, harness.ShippedAccounts(t, c).DNS, r.URL, nil), harness.StartUpstream(t)))
	s.WaitReady(t)
	cluster.Eventually(t, convergence, func() error { return before.answered(s) })
	kinds, err := synced(s)
	harness.Must(t, err)
	stock := startStock(t, "web.world.minilb")

	a := func(name string) asked { return asked{name, dns.TypeA} }
	const old, young, gateway = "NOERROR 10.244.0.2", "NOERROR 10.244.0.3", "NOERROR " + harness.GatewayPod
	const nothing, elsewhere = "NXDOMAIN", "NOERROR" // the upstream has no addresses; nor has a name before its slices
	was := expected{
		a("web.world.minilb"): {old}, a("web.ingress.example"): {old}, a("gone.world.minilb"): {old},
		a("gone.ingress.example"): {old}, a("gone.ex.org"): {gateway}, a("new.world.minilb"): {nothing},
		a("new.ex.org"): {elsewhere}, {"web.world.minilb", dns.TypeAAAA}: {"NOERROR"}, {"world.minilb", dns.TypeTXT}: {"NOERROR"},
		a("set.ex.org"): {gateway}, a("tls-v1alpha3.ex.org"): {gateway},
	}
	becomes := expected{
		a("web.world.minilb"): {young}, a("web.ingress.example"): {young}, a("gone.world.minilb"): {nothing},
		a("gone.ingress.example"): {elsewhere}, a("gone.ex.org"): {elsewhere}, a("new.world.minilb"): {young},
		a("new.ex.org"): {gateway}, {"web.world.minilb", dns.TypeAAAA}: {"NOERROR"}, {"world.minilb", dns.TypeTXT}: {"NOERROR"},
		a("set.ex.org"): {gateway}, a("tls-v1alpha3.ex.org"): {gateway},
	}
	either := expected{}
	for q := range was {
		either[q] = slices.Concat(was[q], becomes[q])
	}
	// Services and EndpointSlices are listed one after the other: a name may be known before its address.
	for _, name := range []string{"gone.world.minilb", "new.world.minilb"} {
		either[a(name)] = append(either[a(name)], elsewhere)
	}
	l, reference := startLoad(t, s.Addr, rate, was), startLoad(t, stock.Addr, rate, expected{a("web.world.minilb"): {"NOERROR " + stockAddress}})
	readiness := watchReadiness(t, s)

	began := time.Now()
	harness.Must(t, errors.Join(c.StopAPIServer(), c.StopEtcd()))
	time.Sleep(outage)
	expectTTL(t, s)
	r.Refuse() // so that the changes below are made during the outage
	harness.Must(t, c.StartEtcd(t.Context()))
	harness.Must(t, c.StartAPIServer(t.Context()))
	harness.Must(t, cluster.Wait(t.Context(), 30*time.Second, func() error { // the definitions may not be served at once
		return errors.Join(harness.Apply(c, after.manifest()), c.Apply(t.Context(), harness.GatewayRoute("HTTPRoute", "v1", "new", "name: gateway-v1")))
	}))
	harness.Must(t, c.Delete(t.Context(), before.serviceAndIngress()+harness.GatewayRoute("HTTPRoute", "v1", "gone", "name: gateway-v1")))
	expectOneLine(t, s, "serving the last known state")
	l.expect(either)
	r.Lead(t, c)
	returned := time.Now()
	cluster.Eventually(t, convergence, func() error {
		return errors.Join(after.changed(s), before.forgotten(s))
	})
	took := time.Since(returned)
	l.expect(becomes)

	for n := range restarts {
		restarted := restart(t, c, s, fmt.Sprintf("after-%d", n))
		t.Logf("new routes are answered %v after the API server's start", restarted.Round(time.Millisecond))
	}
	cluster.Eventually(t, 10*time.Second, func() error {
		now, err := synced(s)
		if err == nil && now != kinds {
			err = fmt.Errorf("these kinds are synced:\n%sand before the outage:\n%s", now, kinds)
		}
		return errors.Join(err, harness.AnswersGateways(s, gateways))
	})
	if lines := s.Log.Lines("answers again"); len(lines) == 0 {
		t.Errorf("the end of the outage is not logged:\n%s", s.Log)
	}

	cluster.Eventually(t, 2*time.Minute, func() error { // clients that fell behind catch up while they are let
		if due := 0.9 * float64(rate) * time.Since(began).Seconds(); float64(l.sent.Load()) < due {
			return fmt.Errorf("%d questions were asked, want %.0f by now", l.sent.Load(), due)
		}
		return nil
	})
	if err := errors.Join(l.stop(), reference.stop(), l.lostBeyond(reference)); err != nil {
		t.Error(err)
	}
	polls := readiness()
	t.Logf("%d questions and %d looks at /ready within %v; what had changed was answered %v after the API server's return",
		l.sent.Load(), polls, time.Since(began).Round(time.Second), took.Round(time.Millisecond))
}

// restart restarts the API server, makes routes at parents in both groups of the Gateway API, named for name,
// and returns how long after the start they are answered.
func restart(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, name string) time.Duration {
	t.Helper()
	harness.Must(t, c.StopAPIServer())
	time.Sleep(time.Second) // two looks at what is served fail
	harness.Must(t, c.StartAPIServer(t.Context()))
	started := time.Now()
	routes := harness.GatewayRoute("TLSRoute", "v1alpha3", name, "name: gateway-v1") +
		harness.GatewayRoute("HTTPRoute", "v1", name+"-set", "name: set, group: "+harness.ExperimentalGatewayGroup+", kind: XListenerSet")
	harness.Must(t, cluster.Wait(t.Context(), 10*time.Second, func() error { return c.Apply(t.Context(), routes) })) // the definitions may not be served at once
	cluster.Eventually(t, 40*time.Second, func() error {
		return errors.Join(s.Expect(name+".ex.org", dns.TypeA, harness.GatewayPod), s.Expect(name+"-set.ex.org", dns.TypeA, harness.GatewayPod))
	})
	return time.Since(started)
}

// synced returns the metric of the kinds that are watched, and an error unless all are synced.
func synced(s *harness.CoreDNS) (string, error) {
	_, metrics := harness.Get(s.Prom)
	kinds := harness.Grep(metrics, "coredns_minilb_synced")
	if kinds == "" || strings.Contains(kinds, "} 0\n") {
		return "", fmt.Errorf("not all is synced:\n%s", kinds)
	}
	return kinds, nil
}

// expectTTL checks that an answer has the TTL that it has beside an API server.
func expectTTL(t *testing.T, s *harness.CoreDNS) {
	t.Helper()
	reply, err := s.Ask("udp", "web.world.minilb", dns.TypeA)
	harness.Must(t, err)
	if len(reply.Answer) != 1 || reply.Answer[0].Header().Ttl != 5 {
		t.Errorf("without the API server: got\n%s", reply)
	}
}

// changed returns an error unless the state is answered, of the Gateway API what it alone has.
func (s state) changed(server *harness.CoreDNS) error {
	return errors.Join(
		server.Expect("web.world.minilb", dns.TypeA, s.addr), server.Expect("web.ingress.example", dns.TypeA, s.addr),
		server.Expect(s.only+".world.minilb", dns.TypeA, s.addr), server.Expect(s.only+".ingress.example", dns.TypeA, s.addr),
		server.Expect(s.only+".ex.org", dns.TypeA, harness.GatewayPod),
	)
}

// watchReadiness looks at /ready ten times a second until the function it returns is called, which
// returns how often, and fails the test if it was ever anything but 200.
func watchReadiness(t *testing.T, s *harness.CoreDNS) (stop func() int) {
	t.Helper()
	var running sync.WaitGroup
	done, polls, bad := make(chan struct{}), 0, map[int]int{}
	running.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			polls++
			if code, _ := harness.Get(s.Ready); code != http.StatusOK {
				bad[code]++
			}
		}
	})
	return func() int {
		close(done)
		running.Wait()
		if len(bad) > 0 || polls == 0 {
			t.Errorf("of %d looks at /ready these were not 200: %v", polls, bad)
		}
		return polls
	}
}
