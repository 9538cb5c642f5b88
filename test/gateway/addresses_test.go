package gateway_test

import (
	"github.com/minilb/minilb/test/harness"
)

// addressCases are about where a route's names lead (G40 to G44, M3, M6, M7).
var addressCases = []gatewayCase{
	// G40, G41: which addresses of the status.
	{name: "G40: an IPv4 address", objects: address("{type: IPAddress, value: 10.1.0.5}"), want: []string{"a 10.1.0.5", "a AAAA"}},
	{name: "G40: an IPv6 address", objects: address("{type: IPAddress, value: '2001:db8::5'}"), want: []string{"a AAAA 2001:db8::5", "a A"}},
	{name: "G40: an address without a type", objects: address("{value: 10.1.0.5}"), want: []string{"a 10.1.0.5"}},
	{name: "G40: several addresses", objects: address("{value: 10.1.0.6}, {value: '2001:db8::5'}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5 10.1.0.6", "a AAAA 2001:db8::5"}},
	{name: "G40: never those of the spec", objects: harness.Manifest(harness.Gateway{Addresses: "none", Spec: "addresses: [{value: 10.1.0.5}]"}, harness.Route{}), want: []string{"a -"}},
	{name: "G40: those of the status, not of the spec", objects: harness.Manifest(harness.Gateway{Addresses: "{value: 10.1.0.6}", Spec: "addresses: [{value: 10.1.0.5}]"}, harness.Route{}), want: []string{"a 10.1.0.6"}},
	{name: "G40, M2: no address yet", objects: harness.Manifest(harness.Gateway{Addresses: "none"}, harness.Route{}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw: its status has no address yet: is its controller running, and does it publish its Service's? Annotation minilb/service can name a Service instead`}},
	{name: "G40: a named address", objects: address("{type: NamedAddress, value: 10.1.0.5}"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw: its address "10.1.0.5" of type NamedAddress is no IP address and no hostname`}},
	{name: "G40: a controller's own type", objects: address("{type: example.org/address, value: 10.1.0.5}"), want: []string{"a -"}},
	{name: "G40: a type that does not hide the others", objects: address("{type: NamedAddress, value: 10.1.0.6}, {type: example.org/address, value: 10.1.0.7}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5"}},
	{name: "G40: a hostname of somebody else", objects: address("{type: Hostname, value: lb.aws.com}"), want: []string{"a CNAME lb.aws.com."}},
	{name: "G41: a wildcard hostname", objects: address(`{type: Hostname, value: "*.aws.com"}`), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw: its address "*.aws.com" of type Hostname is no IP address and no hostname`}},
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
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: its address "nobody.NS.minilb" is in our zone, but nothing of ours has that name`}},
	{name: "M3: a wildcard", objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Addresses: "{type: Hostname, value: web.NS.minilb}"}, harness.Route{Hosts: "'*.NS.example'"}), want: []string{"x 10.244.0.1", "y.x 10.244.0.1", "NS.example. -"}},

	// M6: by way of another claimed host.
	{name: "M6: a host that another object claims",
		objects: exposedService("web", "10.244.0.1", `annotations: {minilb/host: lb.NS.example}`) + address("{type: Hostname, value: lb.NS.example}"),
		want:    []string{"a 10.244.0.1", "lb 10.244.0.1"}},
	{name: "M6: a host that another route claims",
		objects: harness.Manifest(harness.Gateway{Name: "front", Addresses: "{type: Hostname, value: lb.NS.example}"}, harness.Route{Parents: "{name: front}"}, harness.Gateway{Addresses: "{value: 10.1.0.5}"}, harness.Route{Name: "lb", Hosts: "'*.NS.example'"}),
		want:    []string{"a 10.1.0.5", "lb 10.1.0.5"}},
	{name: "M6: its own host",
		objects: address("{type: Hostname, value: a.NS.example}"),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: its address "a.NS.example" leads back to itself`}},

	// G43, and what belongs to which host.
	{name: "G43, C4: two Gateways", objects: harness.Manifest(harness.Gateway{}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}, {value: '2001:db8::2'}"}, harness.Route{Parents: "{name: gw}, {name: other}"}),
		want: []string{"a 10.1.0.1 10.1.0.2", "a AAAA 2001:db8::2"}},
	{name: "G43: one address several times",
		objects: harness.Manifest(harness.Gateway{Addresses: "{value: 10.1.0.1}, {value: 10.1.0.1}"}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.1}, {value: '2001:db8::1'}, {value: '2001:db8:0:0::1'}"}, harness.Route{Parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.1", "a AAAA 2001:db8::1"}},
	{name: "G43: one address in both notations", objects: address("{value: 10.1.0.5}, {value: '::ffff:10.1.0.5'}"), want: []string{"a 10.1.0.5", "a AAAA"}},
	{name: "G43: a host leads to the Gateways that have a listener for it",
		objects: harness.Manifest(
			harness.Gateway{Name: "one", Addresses: "{value: 10.1.0.1}", Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.one.NS.example"}, {name: both, port: 80, protocol: HTTP, hostname: both.NS.example}`},
			harness.Gateway{Name: "two", Addresses: "{value: 10.1.0.2}", Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.two.NS.example"}, {name: both, port: 80, protocol: HTTP, hostname: both.NS.example}`},
			harness.Route{Hosts: "a.one.NS.example, a.two.NS.example, both.NS.example", Parents: "{name: one}, {name: two}"}),
		want: []string{"a.one 10.1.0.1", "a.two 10.1.0.2", "both 10.1.0.1 10.1.0.2"}},
	{name: "G43: a Gateway without an address beside one that has one",
		objects: harness.Manifest(harness.Gateway{Addresses: "none"}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2"}},

	// G44: mixed targets.
	{name: "G44: an address and a hostname of somebody else", objects: address("{type: Hostname, value: lb.aws.com}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5", "a CNAME"}},
	{name: "G44: a Service and a hostname of somebody else", objects: exposedService("web", "10.244.0.1") + address("{type: Hostname, value: lb.aws.com}, {type: Hostname, value: web.NS.minilb}"), want: []string{"a 10.244.0.1", "a CNAME"}},
	{name: "G44: a Service and an address", objects: exposedService("web", "10.244.0.1") + address("{type: Hostname, value: web.NS.minilb}, {value: 10.1.0.5}"), want: []string{"a 10.1.0.5 10.244.0.1"}},
	{name: "G44: two hostnames of somebody else",
		objects: address("{type: Hostname, value: lb2.aws.com}, {type: Hostname, value: lb1.aws.com}"),
		want:    []string{"a CNAME lb1.aws.com."},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" has several hostnames as its addresses; only "lb1.aws.com" is answered`}},
	{name: "G44: over two Gateways",
		objects: harness.Manifest(harness.Gateway{Addresses: "{type: Hostname, value: lb.aws.com}"}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2", "a CNAME"}},
	{name: "G44: for each host by itself",
		objects: harness.Manifest(
			harness.Gateway{Addresses: "{type: Hostname, value: lb.aws.com}", Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.one.NS.example"}`},
			harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}", Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.two.NS.example"}`},
			harness.Route{Hosts: "a.one.NS.example, a.two.NS.example", Parents: "{name: gw}, {name: other}"}),
		want: []string{"a.one CNAME lb.aws.com.", "a.two 10.1.0.2"}},

	// M7: the annotation in the place of the addresses.
	{name: "M7: on a Gateway", objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Metadata: serves("web")}, harness.Route{}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a Gateway without an address", objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Metadata: serves("NS/web"), Addresses: "none"}, harness.Route{}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a route", objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{}, harness.Route{Metadata: serves("web")}, harness.Route{Name: "other", Hosts: "b.NS.example"}), want: []string{"a 10.244.0.1", "b 10.1.0.1"}},
	{name: "M7: on a GRPCRoute", objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{}, harness.Route{Kind: "GRPCRoute", Metadata: serves("NS/web")}), want: []string{"a 10.244.0.1"}},
	{name: "M7: on a TLSRoute",
		objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, harness.Route{Kind: "TLSRoute", Metadata: serves("NS/web")}),
		want:    []string{"a 10.244.0.1"}},
	{name: "M7: a route's beats its Gateway's",
		objects: exposedService("web", "10.244.0.1") + exposedService("other", "10.244.0.2") + harness.Manifest(harness.Gateway{Metadata: serves("web")}, harness.Route{Metadata: serves("other")}, harness.Route{Name: "plain", Hosts: "b.NS.example"}),
		want:    []string{"a 10.244.0.2", "b 10.244.0.1"}},
	{name: "M7: on one of two Gateways",
		objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Metadata: serves("web")}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: other}"}),
		want:    []string{"a 10.1.0.2 10.244.0.1"}},
	{name: "M7: another namespace's Service",
		objects: harness.Infra + harness.ExposedServiceIn("NS-infra", "web", "10.244.0.3") + exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{}, harness.Route{Metadata: serves("NS-infra/web")}),
		want:    []string{"a 10.244.0.3"}},
	{name: "M7: the namespace is by default that of the object with the annotation",
		objects: harness.Infra + harness.ExposedServiceIn("NS-infra", "web", "10.244.0.3") + exposedService("web", "10.244.0.1") +
			harness.Manifest(harness.Gateway{Namespace: "NS-infra", Listeners: fromAll, Metadata: serves("web")}, harness.Route{Parents: "{name: gw, namespace: NS-infra}"}),
		want: []string{"a 10.244.0.3"}},
	{name: "M7: a Service that is not ours",
		objects: "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: NS}, spec: {ports: [{port: 80}]}}\n---\n" + harness.StaticSlice("NS", "web", "IPv4", "10.244.0.1") + harness.Manifest(harness.Gateway{}, harness.Route{Metadata: serves("web")}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Service NS/web is not one of class "minilb"`}},
	{name: "M7: no such Service on a Gateway",
		objects: harness.Manifest(harness.Gateway{Metadata: serves("nobody")}, harness.Route{}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Service NS/nobody is not one of class "minilb" that we serve`}},
	{name: "M7: no Service's name",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Metadata: serves("a/b/c")}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: HTTPRoute NS/r: annotation minilb/service is "a/b/c", want [namespace/]name`}},
	{name: "M7: it does not attach what is not attached",
		objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Metadata: serves("web")}, harness.Route{Metadata: serves("web"), Status: "none"}),
		want:    []string{"a -"}},
	{name: "M7, M8: an ignored Service", objects: exposedService("web", "10.244.0.1", ignored) + harness.Manifest(harness.Gateway{}, harness.Route{Metadata: serves("web")}), want: []string{"a -"}},
}

// address is a route at a Gateway whose status has these addresses.
func address(addresses string) string {
	return harness.Manifest(harness.Gateway{Addresses: addresses}, harness.Route{})
}

// serves is the annotation that names the Service behind an object (M7).
func serves(service string) string {
	return "annotations: {minilb/service: " + service + "}"
}

// exposedService is a Service of ours with these endpoints; a last argument may be metadata.
func exposedService(name string, addrs ...string) string {
	return harness.ExposedServiceIn("NS", name, addrs...)
}
