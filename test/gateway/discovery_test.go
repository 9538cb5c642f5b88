package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// testDiscoveryFails lets what a server with this account asks about the kinds fail in ways of
// its own, while all else goes on: nothing may change then (G5). Where everything fails, discovery
// does among the rest: that is of package faults.
func testDiscoveryFails(t *testing.T, c *cluster.Cluster, account string, r harness.GatewayRelease) {
	p := startAPIProxy(t, c, account)
	up := harness.StartUpstream(t)

	const group, version = "/apis/" + harness.GatewayGroup, "/apis/" + harness.GatewayGroup + "/v1"
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "this is the test", code) }
	}
	s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(p.kubeconfig, up))
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
	for _, test := range []struct {
		name, path string
		times      int64
		answer     http.HandlerFunc
	}{
		{"the group has status 403", group, 3, status(http.StatusForbidden)},
		{"a version has status 503", version, 3, status(http.StatusServiceUnavailable)},
		{"a version that the group lists has status 404", version, 3, status(http.StatusNotFound)},
		// An API server that has just started, or is one of several, may be behind.
		{"the group is missing once", group, 1, status(http.StatusNotFound)},
	} {
		t.Run(test.name, func(t *testing.T) {
			warnings := len(s.Log.Lines("[WARNING] plugin/minilb:"))
			stop := harness.KeepAsking(t, s, r.NamesBut()...)
			p.divert(test.path, test.times, test.answer)
			// Two honest answers after the last of those.
			cluster.Eventually(t, 20*time.Second, p.twiceHonest)
			stop()
			if lines := s.Log.Lines("[WARNING] plugin/minilb:")[warnings:]; len(lines) > 1 {
				t.Errorf("got %q, want one line at most", lines)
			}
		})
	}
	harness.Must(t, harness.AnswersGateways(s, r))
	harness.Must(t, c.Apply(t.Context(), harness.GatewayRoute("HTTPRoute", "v1", "late", "name: gateway-v1")))
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("late.ex.org", dns.TypeA, harness.GatewayPod) })

	t.Run("forbidden from the start", func(t *testing.T) { // G7
		p.divert(group, 1<<40, status(http.StatusForbidden))
		s := harness.StartRediscoveringCoreDNS(t, harness.ResolverFor(p.kubeconfig, up))
		s.WaitReady(t)
		harness.Must(t, harness.Forwarded(s, harness.GatewayNames...))
		harness.Must(t, s.Expect("web.edge.minilb", dns.TypeA, harness.GatewayPod))
		harness.Must(t, s.Expect("ingress.ex.org", dns.TypeA, harness.GatewayPod))
		if lines := s.Log.Lines("[WARNING] plugin/minilb:"); len(lines) != 1 || !strings.Contains(lines[0], group) {
			t.Errorf("got %q, want one line about %s", lines, group)
		}
		p.divert(group, 0, nil)
		cluster.Eventually(t, 10*time.Second, func() error { return harness.AnswersGateways(s, r) })
	})
}

// apiProxy stands before an API server and answers some requests itself.
type apiProxy struct {
	kubeconfig string // reaches the API server by way of it
	diversion  atomic.Pointer[diversion]
}

type diversion struct {
	path   string
	answer http.HandlerFunc
	left   atomic.Int64 // answers to give
	honest atomic.Int64 // requests of the path that were passed on since
}

// divert answers the next requests of a path.
func (p *apiProxy) divert(path string, times int64, answer http.HandlerFunc) {
	d := &diversion{path: path, answer: answer}
	d.left.Store(times)
	p.diversion.Store(d)
}

// twiceHonest returns an error until the API server has answered the path's requests twice again.
func (p *apiProxy) twiceHonest() error {
	if d := p.diversion.Load(); d.honest.Load() < 2 {
		return fmt.Errorf("%s: %d answers were diverted less than wanted, and %d not", d.path, max(d.left.Load(), 0), d.honest.Load())
	}
	return nil
}

// startAPIProxy returns a proxy for the account of a kubeconfig.
func startAPIProxy(t *testing.T, c *cluster.Cluster, kubeconfig string) *apiProxy {
	t.Helper()
	p := &apiProxy{}
	pass := harness.PassTo(t, c)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d := p.diversion.Load(); d != nil && r.URL.Path == d.path {
			if d.left.Add(-1) >= 0 {
				d.answer(w, r)
				return
			}
			d.honest.Add(1)
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.CloseClientConnections)
	p.kubeconfig = harness.KubeconfigVia(t, kubeconfig, server.URL, harness.Authority(server))
	return p
}
