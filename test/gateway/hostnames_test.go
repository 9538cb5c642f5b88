package gateway_test

import (
	"fmt"
	"strings"

	"github.com/minilb/minilb/test/harness"
)

// hostnameCases are about which names a route has at its listeners (G30 to G32).
var hostnameCases = []gatewayCase{
	// G30: the vectors, with the listener's hostname and the route's; "" is none.
	{name: "G30: any listener, exact route", objects: intersect("", "a.b.c"), want: []string{"a.b.c 10.1.0.1", "b.c -", "x.b.c -", "x.a.b.c -"}},
	{name: "G30: wildcard listener, any route", objects: intersect("*.b.c", ""), want: []string{"a.b.c 10.1.0.1", "x.a.b.c 10.1.0.1", "*.b.c 10.1.0.1", "b.c -", "a.c -"}},
	{name: "G30: exact listener, any route", objects: intersect("a.b.c", ""), want: []string{"a.b.c 10.1.0.1", "x.a.b.c -", "b.c -"}},
	{name: "G30: any listener, any route", objects: intersect("", ""), want: []string{"a.b.c -", "NS.example. -", "*.b.c -"}},
	{name: "G30: any listener, wildcard route", objects: intersect("", "*.b.c"), want: []string{"a.b.c 10.1.0.1", "x.a.b.c 10.1.0.1", "b.c -"}},
	{name: "G30: wildcard listener, exact route one label below", objects: intersect("*.b.c", "a.b.c"), want: []string{"a.b.c 10.1.0.1", "x.b.c -"}},
	{name: "G30: wildcard listener, exact route two labels below", objects: intersect("*.b.c", "x.a.b.c"), want: []string{"x.a.b.c 10.1.0.1", "a.b.c -", "y.b.c -"}},
	{name: "G30: wildcard listener, its own domain", objects: intersect("*.b.c", "b.c"), want: []string{"b.c -", "a.b.c -"},
		logged: []string{`HTTPRoute NS/r: host "b.c.NS.example" is not served: no listener of Gateway NS/gw has a hostname for it: "http" has *.b.c.NS.example`}},
	{name: "G30: wildcard listener, a name with the same end", objects: intersect("*.b.c", "ab.c"), want: []string{"ab.c -", "a.b.c -"}},
	{name: "G30: exact listener, wildcard route", objects: intersect("a.b.c", "*.b.c"), want: []string{"a.b.c 10.1.0.1", "x.b.c -"}},
	{name: "G30: exact listener two labels below, wildcard route", objects: intersect("x.a.b.c", "*.b.c"), want: []string{"x.a.b.c 10.1.0.1", "x.b.c -"}},
	{name: "G30: wildcard listener, wildcard route below", objects: intersect("*.b.c", "*.x.b.c"), want: []string{"y.x.b.c 10.1.0.1", "x.b.c -", "y.b.c -"}},
	{name: "G30: wildcard listener, wildcard route above", objects: intersect("*.b.c", "*.c"), want: []string{"a.b.c 10.1.0.1", "b.c -", "x.c -"}},
	{name: "G30: equal wildcards", objects: intersect("*.b.c", "*.b.c"), want: []string{"a.b.c 10.1.0.1", "b.c -"}},
	{name: "G30: equal names", objects: intersect("a.b.c", "a.b.c"), want: []string{"a.b.c 10.1.0.1", "x.a.b.c -"}},
	{name: "G30: wildcards with the same end", objects: intersect("*.ab.c", "*.b.c"), want: []string{"x.ab.c -", "x.b.c -"}},
	{name: "G30: wildcards with the same end, the other way", objects: intersect("*.b.c", "*.ab.c"), want: []string{"x.ab.c -", "x.b.c -"}},
	{name: "G30: exact listener, wildcard route below", objects: intersect("a.b.c", "*.a.b.c"), want: []string{"a.b.c -", "x.a.b.c -"}},
	{name: "G30: exact names that differ", objects: intersect("a.b.c", "x.b.c"), want: []string{"a.b.c -", "x.b.c -"}},

	// G30: unions, and what is dropped.
	{name: "G30: the union over listeners and hosts",
		objects: harness.Manifest(harness.Gateway{Listeners: `
			{name: one, port: 80, protocol: HTTP, hostname: "*.one.NS.example"},
			{name: two, port: 80, protocol: HTTP, hostname: two.NS.example},
			{name: three, port: 80, protocol: HTTP, hostname: "*.three.NS.example"}`},
			harness.Route{Hosts: "a.one.NS.example, '*.NS.example', a.four.NS.example"}),
		// The wildcard leaves of each listener its own hostname; four is within the route's alone.
		want: []string{"a.one 10.1.0.1", "b.one 10.1.0.1", "two 10.1.0.1", "a.three 10.1.0.1", "a.four -", "four -", "one -"}},
	{name: "G30: one host of several is within the listener's",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.in.NS.example"}`}, harness.Route{Hosts: "a.out.NS.example, a.in.NS.example, in.NS.example"}),
		want:    []string{"a.in 10.1.0.1", "a.out -", "in -"},
		logged:  []string{`HTTPRoute NS/r: host "a.out.NS.example" is not served: no listener of Gateway NS/gw has a hostname for it: "http" has *.in.NS.example`}},
	{name: "G30: one host by several listeners",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: one, port: 80, protocol: HTTP}, {name: two, port: 443, protocol: HTTPS}, {name: three, port: 443, protocol: HTTPS, hostname: a.NS.example}`}, harness.Route{Hosts: "a.NS.example"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G30: a GRPCRoute", objects: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.in.NS.example"}`}, harness.Route{Kind: "GRPCRoute", Hosts: "a.in.NS.example, a.NS.example"}), want: []string{"a.in 10.1.0.1", "a -"}},
	{name: "G30: a GRPCRoute without hosts", objects: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.in.NS.example"}`}, harness.Route{Kind: "GRPCRoute", Hosts: "none"}), want: []string{"a.in 10.1.0.1", "a -"}},
	{name: "G31: a TLSRoute",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: "*.in.NS.example"}`}, harness.Route{Kind: "TLSRoute", Hosts: "a.in.NS.example, '*.b.in.NS.example', a.NS.example"}),
		want:    []string{"a.in 10.1.0.1", "x.b.in 10.1.0.1", "c.in -", "a -"}},

	{name: "G31: as many hosts as the API server lets a TLSRoute have",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, harness.Route{Kind: "TLSRoute", Hosts: many("h%d.NS.example", 1024)}),
		want:    []string{"h0 10.1.0.1", "h1023 10.1.0.1"}},

	// G32: what the API server lets through and DNS does not.
	{name: "G32: an IP address",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Hosts: "10.1.2.3, a.NS.example"}),
		want:    []string{"a 10.1.0.1", "10.1.2.3. -"},
		logged:  []string{`HTTPRoute NS/r: host "10.1.2.3" is refused: it is an IP address`}},
	{name: "G32: a label of 64 characters",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Hosts: label64 + ".NS.example, " + label64[1:] + ".NS.example, '*." + label64 + ".NS.example'"}),
		want:    []string{label64[1:] + " 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "` + label64 + `.NS.example" is refused: its label`, `HTTPRoute NS/r: host "*.` + label64 + `.NS.`}},
	{name: "G32: a listener's label of 64 characters",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: bad, port: 80, protocol: HTTP, hostname: "*.` + label64 + `.NS.example"}, {name: good, port: 80, protocol: HTTP, hostname: a.NS.example}`}, harness.Route{Hosts: "none"}),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "*.` + label64 + `.NS.`}},
	{name: "G32: a listener that is an IP address",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: bad, port: 80, protocol: HTTP, hostname: 10.1.2.3}, {name: good, port: 80, protocol: HTTP, hostname: a.NS.example}`}, harness.Route{Hosts: "none"}),
		want:    []string{"a 10.1.0.1", "10.1.2.3. -"},
		logged:  []string{`HTTPRoute NS/r: host "10.1.2.3" is refused: it is an IP address`}},
	{name: "G32: a name of more than 200 characters",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Hosts: strings.Repeat(label64[:49]+".", 4) + "NS.example, a.NS.example"}),
		want:    []string{strings.Repeat(label64[:49]+".", 4) + "NS.example. 10.1.0.1", "a 10.1.0.1"}},
}

// many lists n hosts.
func many(format string, n int) string {
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf(format, i))
	}
	return strings.Join(hosts, ", ")
}

var label64 = strings.Repeat("a", 64)

// intersect is a route with one host at a Gateway with one listener, both below c.NS.example.
func intersect(listener, host string) string {
	if listener != "" {
		listener = `, hostname: "` + listener + `.NS.example"`
	}
	if host = `"` + host + `.NS.example"`; host == `".NS.example"` {
		host = "none"
	}
	return harness.Manifest(harness.Gateway{Listeners: "{name: http, port: 80, protocol: HTTP" + listener + "}"}, harness.Route{Hosts: host})
}
