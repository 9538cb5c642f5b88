package faults_test

import (
	"github.com/minilb/minilb/test/harness"

	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestFaultOutage takes the API server away under a load of 1,000 questions a second: all are
// answered as before, the server stays ready, and what has changed meanwhile is answered soon
// after the end (D78).
func TestFaultOutage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// begin takes the API server away, end brings it back, with changes having been made by then.
		begin func(*testing.T, *cluster.Cluster, *harness.Relay)
		end   func(t *testing.T, c *cluster.Cluster, r *harness.Relay, change func())
	}{
		{
			"killed with etcd",
			func(t *testing.T, c *cluster.Cluster, _ *harness.Relay) {
				harness.Must(t, errors.Join(c.StopAPIServer(), c.StopEtcd()))
			},
			func(t *testing.T, c *cluster.Cluster, r *harness.Relay, change func()) {
				r.Refuse()
				harness.Must(t, c.StartEtcd(t.Context()))
				harness.Must(t, c.StartAPIServer(t.Context()))
				change()
				r.Lead(t, c)
			},
		},
		{
			"out of reach",
			func(_ *testing.T, _ *cluster.Cluster, r *harness.Relay) { r.Refuse() },
			func(t *testing.T, c *cluster.Cluster, r *harness.Relay, change func()) {
				change()
				r.Lead(t, c)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			outage := 15 * time.Second
			if harness.Full {
				outage = 5 * time.Minute
			}
			c := cluster.New(t, cluster.Options{})
			gateways := harness.NewestGateways
			before, after := state{addr: "10.244.0.2", only: "gone", gateways: &gateways}, state{addr: "10.244.0.3", only: "new"}
			before.make(t, c)
			r := harness.StartRelay(t, c)
			s := harness.StartFastCoreDNS(t, harness.ResolverFor(harness.KubeconfigVia(t, harness.ShippedAccounts(t, c).DNS, r.URL, nil), harness.StartUpstream(t)))
			s.WaitReady(t)
			cluster.Eventually(t, convergence, func() error { return before.answered(s) })

			a := func(name string) asked { return asked{name, dns.TypeA} }
			const old, young = "NOERROR 10.244.0.2", "NOERROR 10.244.0.3"
			const nothing, elsewhere = "NXDOMAIN", "NOERROR" // the upstream has no addresses; nor has a name before its slices
			was := expected{
				a("web.world.minilb"): {old}, a("web.ingress.example"): {old}, a("gone.world.minilb"): {old},
				a("gone.ingress.example"): {old}, a("gone.ex.org"): {"NOERROR " + harness.GatewayPod}, a("new.world.minilb"): {nothing},
				a("new.ex.org"): {elsewhere}, {"web.world.minilb", dns.TypeAAAA}: {"NOERROR"}, {"world.minilb", dns.TypeTXT}: {"NOERROR"},
			}
			becomes := expected{
				a("web.world.minilb"): {young}, a("web.ingress.example"): {young}, a("gone.world.minilb"): {nothing},
				a("gone.ingress.example"): {elsewhere}, a("gone.ex.org"): {elsewhere}, a("new.world.minilb"): {young},
				a("new.ex.org"): {"NOERROR " + harness.GatewayPod}, {"web.world.minilb", dns.TypeAAAA}: {"NOERROR"}, {"world.minilb", dns.TypeTXT}: {"NOERROR"},
			}
			l := startLoad(t, s.Addr, 1000, was)
			readiness := watchReadiness(t, s)
			test.begin(t, c, r)
			began := time.Now()
			time.Sleep(outage)
			either := expected{}
			for q := range was {
				either[q] = slices.Concat(was[q], becomes[q])
			}
			// Services and EndpointSlices are listed one after the other: a name may be known before its address.
			for _, name := range []string{"gone.world.minilb", "new.world.minilb"} {
				either[a(name)] = append(either[a(name)], elsewhere)
			}
			test.end(t, c, r, func() {
				harness.Must(t, cluster.Wait(t.Context(), 30*time.Second, func() error { // the definitions may not be served at once
					return errors.Join(harness.Apply(c, after.manifest()), c.Apply(t.Context(), harness.GatewayRoute("HTTPRoute", "v1", "new", "name: gateway-v1")))
				}))
				harness.Must(t, c.Delete(t.Context(), before.serviceAndIngress()+harness.GatewayRoute("HTTPRoute", "v1", "gone", "name: gateway-v1")))
				l.expect(either)
			})
			returned := time.Now()
			cluster.Eventually(t, convergence, func() error {
				return errors.Join(after.changed(s), before.forgotten(s))
			})
			took := time.Since(returned)
			l.expect(becomes)
			time.Sleep(2 * time.Second)
			cluster.Eventually(t, 2*time.Minute, func() error { // clients that fell behind catch up while they are let
				if due := 900 * time.Since(began).Seconds(); float64(l.sent.Load()) < due {
					return fmt.Errorf("%d questions were asked, want %.0f by now", l.sent.Load(), due)
				}
				return nil
			})
			if err := l.stop(); err != nil || l.lost.Load() > 0 {
				t.Errorf("%d of %d questions were lost, and of the answers were wrong: %v", l.lost.Load(), l.sent.Load(), err)
			}
			polls := readiness()
			lasted := time.Since(began)
			t.Logf("%d questions and %d looks at /ready within %v; what had changed was answered %v after the API server's return",
				l.sent.Load(), polls, lasted.Round(time.Second), took.Round(time.Millisecond))
		})
	}
}

// changed returns an error unless the state is answered, of the Gateway API what it alone has.
func (s state) changed(server *harness.CoreDNS) error {
	withoutGateways := []error{
		server.Expect("web.world.minilb", dns.TypeA, s.addr), server.Expect("web.ingress.example", dns.TypeA, s.addr),
		server.Expect(s.only+".world.minilb", dns.TypeA, s.addr), server.Expect(s.only+".ingress.example", dns.TypeA, s.addr),
		server.Expect(s.only+".ex.org", dns.TypeA, harness.GatewayPod),
	}
	return errors.Join(withoutGateways...)
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
