package faults_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/minilb/minilb/test/harness"
)

// Hosts that are claimed, some of them by several namespaces, and some that nobody may have.
var (
	soakHosts = []string{
		"h0.ex.test", "h1.ex.test", "h2.ex.test", "h3.ex.test", "H4.ex.test", "ex.test", "*.ex.test",
		"*.w.ex.test", "a.w.ex.test", "b.a.w.ex.test", "*.deep.x.w.ex.test",
		"home.minilb", "tv", "minilb.", "f.n1.minilb", "*.apps.n2.minilb", "x.apps.n2.minilb", "y.x.apps.n2.minilb", "s3.n3.minilb", "*.s3.n3.minilb", "v.s3.n3.minilb",
		"*.minilb", "ns1.minilb", "s0.n0.minilb", "f.n2.minilb",
	}
	soakRouteHosts    = []string{"a.gw.test", "b.gw.test", "*.b.gw.test", "c.b.gw.test", "*.gw.test", "h0.ex.test", "h1.ex.test"}
	soakListenerHosts = []string{"", "", "*.gw.test", "a.gw.test", "*.b.gw.test", "*.ex.test"}
	soakInvalid       = []string{"bad_host!", "10.1.2.3", "*", "*.*.ex.test", "-x.ex.test", "a..ex.test", strings.Repeat("l", 64) + ".ex.test"}
	soakExternal      = []string{"lb0.external.test", "lb1.external.test"}
	// Each leads to one after it, if to another host: which wildcard covers which is for package
	// source to test, and so are loops.
	soakChain = []string{"z0.chain.test", "z1.chain.test", "z2.chain.test", "z3.chain.test"}
)

// hosts returns some hosts to claim, of which one may be none.
func (g *generator) hosts(n int) (hosts []string) {
	for range n {
		hosts = append(hosts, g.pick(soakHosts))
	}
	if g.chance(6) {
		hosts = append(hosts, g.pick(soakInvalid))
	}
	return hosts
}

// leads returns what a status says, some of which leads nowhere.
func (g *generator) leads(after int) (ips, hostnames []string) {
	for range []int{0, 1, 1, 1, 2}[g.IntN(5)] {
		switch n := g.IntN(10); {
		case n < 2:
			ips = append(ips, g.pick([]string{"10.9.0.1", "10.9.0.2", "fd09::1"}))
		case n < 8:
			hostname := g.service() + "." + g.namespace() + ".minilb"
			for slices.Contains(soakHosts, hostname) {
				// Without such a Service it is a host that may be claimed, and so may lead on, in a circle
				// too: that is for package translator to test.
				hostname = g.service() + "." + g.namespace() + ".minilb"
			}
			hostnames = append(hostnames, hostname)
		case n < 9 && after < len(soakChain):
			hostnames = append(hostnames, g.pick(soakChain[after:]))
		default:
			hostnames = append(hostnames, g.pick(soakExternal))
		}
	}
	return ips, hostnames
}

// annotate lets the object lead to a Service now and then (M7).
func (g *generator) annotate(meta obj) {
	if g.chance(6) {
		meta["annotations"] = obj{"minilb/service": g.pick([]string{"", g.namespace() + "/"}) + g.service()}
	}
}

func (g *generator) changeIngress(ctx context.Context) {
	namespace, name := g.namespace(), fmt.Sprintf("i%d", g.IntN(4))
	if g.chance(5) {
		g.delete(ctx, "Ingress", "networking.k8s.io/v1", namespace, name)
		return
	}
	hosts, after := g.hosts(1+g.IntN(3)), 0
	if g.chance(4) {
		after = g.IntN(len(soakChain)) + 1
		hosts = []string{soakChain[after-1]}
	}
	rules := list{}
	for _, host := range hosts {
		if host = strings.ToLower(host); slices.Contains(soakInvalid[:6], host) || strings.HasSuffix(host, ".") {
			continue // the API server does not take it, or should it
		}
		backend := obj{"service": obj{"name": "x", "port": obj{"number": 80}}}
		rules = append(rules, obj{"host": host, "http": obj{"paths": list{obj{"path": "/", "pathType": "Prefix", "backend": backend}}}})
	}
	if len(rules) == 0 {
		return
	}
	meta := g.meta(namespace, name)
	g.annotate(meta)
	addresses := list{}
	ips, hostnames := g.leads(after)
	for _, ip := range ips {
		addresses = append(addresses, obj{"ip": ip})
	}
	for _, hostname := range hostnames {
		addresses = append(addresses, obj{"hostname": hostname})
	}
	g.apply(ctx, "Ingress", obj{
		"apiVersion": "networking.k8s.io/v1", "metadata": meta,
		"spec": obj{"rules": rules}, "status": obj{"loadBalancer": obj{"ingress": addresses}},
	})
}

func (g *generator) changeGateway(ctx context.Context) {
	namespace, name := g.namespace(), fmt.Sprintf("g%d", g.IntN(2))
	if g.chance(6) {
		g.delete(ctx, "Gateway", harness.GatewayGroup+"/v1", namespace, name)
		return
	}
	listeners := list{}
	for i := range 1 + g.IntN(2) {
		listener := obj{"name": fmt.Sprintf("l%d", i), "port": 80 + i, "protocol": g.pick([]string{"HTTP", "HTTP", "HTTP", "TCP"})}
		if host := g.pick(soakListenerHosts); host != "" && listener["protocol"] == "HTTP" {
			listener["hostname"] = host
		}
		if g.chance(2) {
			listener["allowedRoutes"] = obj{"namespaces": obj{"from": g.pick([]string{"Same", "All", "All"})}}
		}
		listeners = append(listeners, listener)
	}
	meta := g.meta(namespace, name)
	g.annotate(meta)
	addresses := list{}
	ips, hostnames := g.leads(0)
	for _, ip := range ips {
		addresses = append(addresses, obj{"type": "IPAddress", "value": ip})
	}
	for _, hostname := range hostnames {
		addresses = append(addresses, obj{"type": "Hostname", "value": hostname})
	}
	g.apply(ctx, "Gateway", obj{
		"apiVersion": harness.GatewayGroup + "/v1", "metadata": meta,
		"spec": obj{"gatewayClassName": "soak", "listeners": listeners}, "status": obj{"addresses": addresses},
	})
}

func (g *generator) changeRoute(ctx context.Context) {
	namespace, name := g.namespace(), fmt.Sprintf("r%d", g.IntN(4))
	if g.chance(6) {
		g.delete(ctx, "HTTPRoute", harness.GatewayGroup+"/v1", namespace, name)
		return
	}
	refs, parents, seen := list{}, list{}, map[string]bool{}
	for range 1 + g.IntN(2) {
		ref := obj{"name": fmt.Sprintf("g%d", g.IntN(2)), "namespace": g.pick([]string{namespace, namespace, g.namespace()})}
		if key := fmt.Sprint(ref); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		switch g.IntN(4) {
		case 0:
			ref["sectionName"] = g.pick([]string{"l0", "l1", "l2"})
		case 1:
			ref["port"] = 80 + g.IntN(3)
		}
		refs = append(refs, ref)
		if g.chance(10) {
			continue
		}
		parents = append(parents, obj{
			"parentRef": ref, "controllerName": g.pick([]string{soakController, soakController, soakController, soakController, "example.org/other"}),
			"conditions": list{obj{"type": "Accepted", "status": g.pick([]string{"True", "True", "True", "True", "False", "Unknown"}), "reason": "Soak", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
		})
	}
	hosts := []string{}
	for range g.IntN(3) {
		if host := g.pick(soakRouteHosts); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	meta := g.meta(namespace, name)
	g.annotate(meta)
	g.apply(ctx, "HTTPRoute", obj{
		"apiVersion": harness.GatewayGroup + "/v1", "metadata": meta,
		"spec": obj{"parentRefs": refs, "hostnames": hosts}, "status": obj{"parents": parents},
	})
}
