package integration_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/test/cluster"
)

// TestGatewayDiscoveryFails lets what the server asks about the kinds fail in all ways, while
// all else goes on: nothing may change then (G5).
func TestGatewayDiscoveryFails(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	p := startAPIProxy(t, c, shippedAccounts(t, c).dns)
	exposeGateways(t, c)
	r := newestGateways
	applyTogether(t, c, r.definitions(t))
	must(t, c.Apply(t.Context(), r.objects()))
	up := startUpstream(t)

	const group, version = "/apis/" + gatewayGroup, "/apis/" + gatewayGroup + "/v1"
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "this is the test", code) }
	}
	s := startRediscoveringCoreDNS(t, resolverFor(p.kubeconfig, up))
	s.waitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
	for _, test := range []struct {
		name, path string
		times      int64
		answer     http.HandlerFunc
	}{
		{"the group has status 503", group, 3, status(http.StatusServiceUnavailable)},
		{"the group has status 403", group, 3, status(http.StatusForbidden)},
		{"a version has status 503", version, 3, status(http.StatusServiceUnavailable)},
		{"a version that the group lists has status 404", version, 3, status(http.StatusNotFound)},
		{"the connection breaks", version, 3, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"the answer is no JSON", group, 3, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }},
		// An API server that has just started, or is one of several, may be behind.
		{"the group is missing once", group, 1, status(http.StatusNotFound)},
	} {
		t.Run(test.name, func(t *testing.T) {
			warnings := len(s.log.lines("[WARNING] plugin/minilb:"))
			stop := keepAsking(t, s, r.namesBut()...)
			p.divert(test.path, test.times, test.answer)
			// Two honest answers after the last of those.
			cluster.Eventually(t, 20*time.Second, p.twiceHonest)
			stop()
			if lines := s.log.lines("[WARNING] plugin/minilb:")[warnings:]; len(lines) > 1 {
				t.Errorf("got %q, want one line at most", lines)
			}
		})
	}
	must(t, answersGateways(s, r))
	must(t, c.Apply(t.Context(), gatewayRoute("HTTPRoute", "v1", "late", "name: gateway-v1")))
	cluster.Eventually(t, 10*time.Second, func() error { return s.expect("late.ex.org", dns.TypeA, gatewayPod) })

	t.Run("forbidden from the start", func(t *testing.T) { // G7
		p.divert(group, 1<<40, status(http.StatusForbidden))
		s := startRediscoveringCoreDNS(t, resolverFor(p.kubeconfig, up))
		s.waitReady(t)
		must(t, forwarded(s, gatewayNames...))
		must(t, s.expect("web.edge.minilb", dns.TypeA, gatewayPod))
		must(t, s.expect("ingress.ex.org", dns.TypeA, gatewayPod))
		if lines := s.log.lines("[WARNING] plugin/minilb:"); len(lines) != 1 || !strings.Contains(lines[0], group) {
			t.Errorf("got %q, want one line about %s", lines, group)
		}
		p.divert(group, 0, nil)
		cluster.Eventually(t, 10*time.Second, func() error { return answersGateways(s, r) })
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
	pass := passTo(t, c)
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
	p.kubeconfig = kubeconfigVia(t, kubeconfig, server.URL, authority(server))
	return p
}

// passTo returns a handler that has the API server answer.
func passTo(t *testing.T, c *cluster.Cluster) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(c.URL)
	must(t, err)
	transport, err := rest.TransportFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: c.Config.CAData}})
	must(t, err)
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // of watches, each event counts
	}
}

// authority returns what a client must trust to talk to a server, in PEM.
func authority(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
