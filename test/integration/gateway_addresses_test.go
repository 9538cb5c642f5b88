package integration_test

import (
	"fmt"
	"strings"
)

// addressCases are about where a route's names lead (G40 to G44, M3, M6, M7).
var addressCases = []gatewayCase{
	// G40, G41: which addresses of the status.
	{name: "G40: an IPv4 address", objects: address("{type: IPAddress, value: 10.1.0.5}"), want: []string{"a 10.1.0.5", "a AAAA"}},
	{name: "G40: an IPv6 address", objects: address("{type: IPAddress, value: '2001:db8::5'}"), want: []string{"a AAAA 2001:db8::5", "a A"}},
	{name: "G40: an address without a type", objects: address("{value: 10.1.0.5}"), want: []string{"a 10.1.0.5"}},
	{name: "G40: several addresses", objects: address("{value: 10.1.0.6}, {value: '2001:db8::5'}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5 10.1.0.6", "a AAAA 2001:db8::5"}},
	{name: "G40: never those of the spec", objects: manifest(gateway{addresses: "none", spec: "addresses: [{value: 10.1.0.5}]"}, route{}), want: []string{"a -"}},
	{name: "G40: those of the status, not of the spec", objects: manifest(gateway{addresses: "{value: 10.1.0.6}", spec: "addresses: [{value: 10.1.0.5}]"}, route{}), want: []string{"a 10.1.0.6"}},
	{name: "G40, M2: no address yet", objects: manifest(gateway{addresses: "none"}, route{}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Gateway NS/gw: its status has no address yet: is its controller running, and does it publish its Service's? Annotation minilb/service can name a Service instead`}},
	{name: "G40: a named address", objects: address("{type: NamedAddress, value: 10.1.0.5}"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Gateway NS/gw: its address "10.1.0.5" of type NamedAddress is no IP address and no hostname`}},
	{name: "G40: a controller's own type", objects: address("{type: example.org/address, value: 10.1.0.5}"), want: []string{"a -"}},
	{name: "G40: a type that does not hide the others", objects: address("{type: NamedAddress, value: 10.1.0.6}, {type: example.org/address, value: 10.1.0.7}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5"}},
	{name: "G40: a hostname of somebody else", objects: address("{type: Hostname, value: lb.aws.com}"), want: []string{"a CNAME lb.aws.com."}},
	{name: "G41: a wildcard hostname", objects: address(`{type: Hostname, value: "*.aws.com"}`), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Gateway NS/gw: its address "*.aws.com" of type Hostname is no IP address and no hostname`}},
	{name: "G41: a wildcard hostname beside an address", objects: address(`{type: Hostname, value: "*.aws.com"}, {value: 10.1.0.5}`), want: []string{"a 10.1.0.5"}},
	{name: "G40: a hostname that is an IP address is none", objects: address("{type: Hostname, value: 10.1.0.5}"), want: []string{"a -"},
		logged: []string{`Gateway NS/gw: status hostname "10.1.0.5" cannot be answered with: it is an IP address`}},

	// M3: a Service's name is flattened.
	{name: "M3: a Service of ours",
		objects: exposedService("web", "10.244.0.1", "10.244.0.2") + address("{type: Hostname, value: web.NS.minilb}"),
		want:    []string{"a 10.244.0.1 10.244.0.2", "a AAAA", "a CNAME", "web.NS.minilb. 10.244.0.1 10.244.0.2"}},
	{name: "M3: a Service without endpoints",
		objects: exposedService("web") + address("{type: Hostname, value: web.NS.minilb}"),
		want:    []string{"a A", "a AAAA"}},
	{name: "M3: no such Service",
		objects: address("{type: Hostname, value: nobody.NS.minilb}"),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: its address "nobody.NS.minilb." is in our zone, but nothing of ours has that name`}},
	{name: "M3: a wildcard", objects: exposedService("web", "10.244.0.1") + manifest(gateway{addresses: "{type: Hostname, value: web.NS.minilb}"}, route{hosts: "'*.NS.example'"}), want: []string{"x 10.244.0.1", "y.x 10.244.0.1", "NS.example. -"}},

	// M6: by way of another claimed host.
	{name: "M6: a host that another object claims",
		objects: exposedService("web", "10.244.0.1", `annotations: {minilb/host: lb.NS.example}`) + address("{type: Hostname, value: lb.NS.example}"),
		want:    []string{"a 10.244.0.1", "lb 10.244.0.1"}},
	{name: "M6: a host that another route claims",
		objects: manifest(gateway{name: "front", addresses: "{type: Hostname, value: lb.NS.example}"}, route{parents: "{name: front}"}, gateway{addresses: "{value: 10.1.0.5}"}, route{name: "lb", hosts: "'*.NS.example'"}),
		want:    []string{"a 10.1.0.5", "lb 10.1.0.5"}},
	{name: "M6: its own host",
		objects: address("{type: Hostname, value: a.NS.example}"),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: its address "a.NS.example." leads back to itself`}},

	// G43, and what belongs to which host.
	{name: "G43, C4: two Gateways", objects: manifest(gateway{}, gateway{name: "other", addresses: "{value: 10.1.0.2}, {value: '2001:db8::2'}"}, route{parents: "{name: gw}, {name: other}"}),
		want: []string{"a 10.1.0.1 10.1.0.2", "a AAAA 2001:db8::2"}},
	{name: "G43: one address several times",
		objects: manifest(gateway{addresses: "{value: 10.1.0.1}, {value: 10.1.0.1}"}, gateway{name: "other", addresses: "{value: 10.1.0.1}, {value: '2001:db8::1'}, {value: '2001:db8:0:0::1'}"}, route{parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.1", "a AAAA 2001:db8::1"}},
	{name: "G43: one address in both notations", objects: address("{value: 10.1.0.5}, {value: '::ffff:10.1.0.5'}"), want: []string{"a 10.1.0.5", "a AAAA"}},
	{name: "G43: a host leads to the Gateways that have a listener for it",
		objects: manifest(
			gateway{name: "one", addresses: "{value: 10.1.0.1}", listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.one.NS.example"}, {name: both, port: 80, protocol: HTTP, hostname: both.NS.example}`},
			gateway{name: "two", addresses: "{value: 10.1.0.2}", listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.two.NS.example"}, {name: both, port: 80, protocol: HTTP, hostname: both.NS.example}`},
			route{hosts: "a.one.NS.example, a.two.NS.example, both.NS.example", parents: "{name: one}, {name: two}"}),
		want: []string{"a.one 10.1.0.1", "a.two 10.1.0.2", "both 10.1.0.1 10.1.0.2"}},
	{name: "G43: a Gateway without an address beside one that has one",
		objects: manifest(gateway{addresses: "none"}, gateway{name: "other", addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2"}},

	// G44: mixed targets.
	{name: "G44: an address and a hostname of somebody else", objects: address("{type: Hostname, value: lb.aws.com}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5", "a CNAME"}},
	{name: "G44: a Service and a hostname of somebody else", objects: exposedService("web", "10.244.0.1") + address("{type: Hostname, value: lb.aws.com}, {type: Hostname, value: web.NS.minilb}"), want: []string{"a 10.244.0.1", "a CNAME"}},
	{name: "G44: a Service and an address", objects: exposedService("web", "10.244.0.1") + address("{type: Hostname, value: web.NS.minilb}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5 10.244.0.1"}},
	{name: "G44: two hostnames of somebody else",
		objects: address("{type: Hostname, value: lb2.aws.com}, {type: Hostname, value: lb1.aws.com}"),
		want:    []string{"a CNAME lb1.aws.com."},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." has several hostnames as its addresses; only "lb1.aws.com." is answered`}},
	{name: "G44: over two Gateways",
		objects: manifest(gateway{addresses: "{type: Hostname, value: lb.aws.com}"}, gateway{name: "other", addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2", "a CNAME"}},
	{name: "G44: for each host by itself",
		objects: manifest(
			gateway{addresses: "{type: Hostname, value: lb.aws.com}", listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.one.NS.example"}`},
			gateway{name: "other", addresses: "{value: 10.1.0.2}", listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.two.NS.example"}`},
			route{hosts: "a.one.NS.example, a.two.NS.example", parents: "{name: gw}, {name: other}"}),
		want: []string{"a.one CNAME lb.aws.com.", "a.two 10.1.0.2"}},

	// M7: the annotation in the place of the addresses.
	{name: "M7: on a Gateway", objects: exposedService("web", "10.244.0.1") + manifest(gateway{metadata: serves("web")}, route{}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a Gateway without an address", objects: exposedService("web", "10.244.0.1") + manifest(gateway{metadata: serves("NS/web"), addresses: "none"}, route{}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a route", objects: exposedService("web", "10.244.0.1") + manifest(gateway{}, route{metadata: serves("web")}, route{name: "other", hosts: "b.NS.example"}), want: []string{"a 10.244.0.1", "b 10.1.0.1"}},
	{name: "M7: on a GRPCRoute", objects: exposedService("web", "10.244.0.1") + manifest(gateway{}, route{kind: "GRPCRoute", metadata: serves("NS/web")}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a TLSRoute",
		objects: exposedService("web", "10.244.0.1") + manifest(gateway{listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, route{kind: "TLSRoute", metadata: serves("NS/web")}),
		want:    []string{"a 10.244.0.1"}},
	{name: "M7: a route's beats its Gateway's",
		objects: exposedService("web", "10.244.0.1") + exposedService("other", "10.244.0.2") + manifest(gateway{metadata: serves("web")}, route{metadata: serves("other")}, route{name: "plain", hosts: "b.NS.example"}),
		want:    []string{"a 10.244.0.2", "b 10.244.0.1"}},
	{name: "M7: on one of two Gateways",
		objects: exposedService("web", "10.244.0.1") + manifest(gateway{metadata: serves("web")}, gateway{name: "other", addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2 10.244.0.1"}},
	{name: "M7: another namespace's Service",
		objects: infra + exposedServiceIn("NS-infra", "web", "10.244.0.3") + exposedService("web", "10.244.0.1") + manifest(gateway{}, route{metadata: serves("NS-infra/web")}),
		want:    []string{"a 10.244.0.3"}},
	{name: "M7: the namespace is by default that of the object with the annotation",
		objects: infra + exposedServiceIn("NS-infra", "web", "10.244.0.3") + exposedService("web", "10.244.0.1") +
			manifest(gateway{namespace: "NS-infra", listeners: fromAll, metadata: serves("web")}, route{parents: "{name: gw, namespace: NS-infra}"}),
		want: []string{"a 10.244.0.3"}},
	{name: "M7: a Service that is not ours",
		objects: "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: NS}, spec: {ports: [{port: 80}]}}\n---\n" + staticSlice("NS", "web", "IPv4", "10.244.0.1") + manifest(gateway{}, route{metadata: serves("web")}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Service NS/web is not one of class "minilb"`}},
	{name: "M7: no such Service on a Gateway",
		objects: manifest(gateway{metadata: serves("nobody")}, route{}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Service NS/nobody is not one of class "minilb" that we serve`}},
	{name: "M7: no Service's name",
		objects: manifest(gateway{}, route{metadata: serves("a/b/c")}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: HTTPRoute NS/r: annotation minilb/service is "a/b/c", want [namespace/]name`}},
	{name: "M7: it does not attach what is not attached",
		objects: exposedService("web", "10.244.0.1") + manifest(gateway{metadata: serves("web")}, route{metadata: serves("web"), status: "none"}),
		want:    []string{"a -"}},
	{name: "M7, M8: an ignored Service", objects: exposedService("web", "10.244.0.1", ignored) + manifest(gateway{}, route{metadata: serves("web")}), want: []string{"a -"}},
}

// address is a route at a Gateway whose status has these addresses.
func address(addresses string) string {
	return manifest(gateway{addresses: addresses}, route{})
}

// serves is the annotation that names the Service behind an object (M7).
func serves(service string) string {
	return "annotations: {minilb/service: " + service + "}"
}

// exposedService is a Service of ours with these endpoints; a last argument may be metadata.
func exposedService(name string, addrs ...string) string {
	return exposedServiceIn("NS", name, addrs...)
}

func exposedServiceIn(namespace, name string, addrs ...string) string {
	metadata := ""
	if last := len(addrs) - 1; last >= 0 && strings.Contains(addrs[last], ": ") {
		addrs, metadata = addrs[:last], addrs[last]
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s, %s}
spec: {type: LoadBalancer, loadBalancerClass: minilb, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}
---
`, name, namespace, metadata) + staticSlice(namespace, name, "IPv4", addrs...)
}
