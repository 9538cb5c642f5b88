package check

import (
	"strings"
	"testing"
)

// ingress returns an Ingress that claims a host, with or without an address.
func ingress(id, host, created, address string) string {
	namespace, name, _ := strings.Cut(id, "/")
	status := ""
	if address != "" {
		status = "\nstatus: {loadBalancer: {ingress: [{" + address + "}]}}"
	}
	return `
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: ` + namespace + ", name: " + name + `, creationTimestamp: "` + created + `"}
spec: {rules: [{host: "` + host + `"}]}` + status
}

// endpoints returns an EndpointSlice of the Service shop/web.
func endpoints(family, list string) string {
	return `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: ` + family + `
endpoints: [` + list + "]"
}

// api is a Service of our class without endpoints.
func api(selector string) string {
	return `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: api}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ` + selector + `}
status: {loadBalancer: {ingress: [{hostname: api.shop.minilb}]}}`
}

const (
	trusting   = ". {\n minilb minilb {\n  claim .\n }\n}" // lets all namespaces claim all hosts
	old, young = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"
	// gateway is one that takes routes of its own namespace, and whose controller is known.
	gateway = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: gc}
spec: {controllerName: example.org/gc}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: shop, name: gw}
spec: {gatewayClassName: gc, listeners: [{name: http, port: 80, protocol: HTTP}]}
status: {addresses: [{type: Hostname, value: web.shop.minilb}]}`
	accepted = "\nstatus: {parents: [{parentRef: {name: gw}, controllerName: example.org/gc, conditions: [{type: Accepted, status: \"True\"}]}]}"
	route    = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: r}
spec: {hostnames: [r.ex.org], parentRefs: [{name: gw}]}`
)

// What is said of a whole cluster. S6, C2, C6, D17, D20b, E3, E6, E17, G20, G44, I10, M2, M8, R1
func TestCheck(t *testing.T) {
	const corefile = ". {\n minilb minilb\n}"
	for _, tc := range []struct {
		name, corefile, manifest string
		want                     []string // each in one problem, all of them
	}{
		{"sound", corefile, sound, nil},
		{"no endpoints", corefile, sound + api("selector: {app: api}"), []string{
			"error Service shop/api NoEndpoints: no address is answered: its selector matches no pod that has an address; compare spec.selector with the labels of the pods, and see that they run"}},
		{"no selector", corefile, sound + api("ports: []"), []string{
			"error Service shop/api NoEndpoints: no address is answered: it has no selector, and no EndpointSlice; give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"}},
		{"not ready", corefile, strings.Replace(sound, "[10.244.1.7]", "[10.244.1.7], conditions: {ready: false}", 1) +
			endpoints("IPv4", "{addresses: [10.244.1.8], conditions: {ready: false, serving: false, terminating: true}}, {addresses: [10.244.1.9], conditions: {ready: false}}"), []string{
			"error Service shop/web NoEndpoints: no address is answered: of its endpoints 2 not ready, 1 terminating; see why its pods are not ready: kubectl describe pods"}},
		{"still serving", corefile, strings.Replace(sound, "[10.244.1.7]", "[10.244.1.7], conditions: {ready: false, serving: true, terminating: true}", 1), nil},
		{"of another family", ". {\n minilb minilb {\n  families ipv6\n }\n}", sound, []string{
			"error Service shop/web NoEndpoints: no address is answered: of its endpoints 1 ready; answer with the family of its endpoints, too, by the property families, or let the Service have both (ipFamilyPolicy: PreferDualStack)"}},
		{"another targetPort", corefile, strings.NewReplacer("targetPort: 80", "targetPort: 8080", "port: 80}]\nendpoints", "port: 8080}]\nendpoints").Replace(sound), []string{
			"error Service shop/web TargetPortMismatch: port 80 leads to port 8080 of the pods, and nothing translates it: clients must use 8080; let the pods listen on 80 (sysctl"}},
		{"served by Cilium", corefile, sound + strings.Replace(api("ports: []"), "name: api", "name: api, labels: {cilium.io/ingress: \"true\"}", 1), []string{
			"error Service shop/api CiliumService: it belongs to a Gateway or Ingress of Cilium"}},
		{"Cilium's placeholder", corefile, sound + api("selector: {app: api}") + strings.NewReplacer("name: web-2", "name: api-1", "service-name: web", "service-name: api").Replace(endpoints("IPv4", "{addresses: [192.192.192.192]}")), []string{
			"error Service shop/api CiliumService: it belongs to a Gateway or Ingress of Cilium, whose proxies are on the nodes"}},
		{"endpoints without an address", corefile, sound + endpoints("IPv4", "{addresses: []}"), []string{"warning Service shop/web EndpointIgnored: EndpointSlice shop/web-2: endpoint 0 has no address and is left out"}},
		{"endpoints that cannot be answered", corefile, sound + endpoints("IPv4", "{addresses: [127.0.0.1]}"), []string{
			`warning Service shop/web EndpointIgnored: EndpointSlice shop/web-2: endpoint address "127.0.0.1" is not an IPv4 address that can be answered with, and is left out; fix what writes the EndpointSlice`}},
		{"endpoints that are names, and no others", corefile, sound + strings.NewReplacer("name: web-2", "name: api-1", "service-name: web", "service-name: api").Replace(endpoints("FQDN", "{addresses: [a.ex.org]}")) +
			api("selector: {app: api}"), []string{
			`error Service shop/api NoEndpoints: no address is answered: EndpointSlice shop/api-1: its address type "FQDN" cannot be answered with; its endpoints are left out; let its EndpointSlices have addressType IPv4`}},
		{"an EndpointSlice without endpoints", corefile, sound + strings.NewReplacer("name: web-2", "name: api-1", "service-name: web", "service-name: api").Replace(endpoints("IPv4", "")) + api("ports: []"), []string{
			"error Service shop/api NoEndpoints: no address is answered: it has no selector, and its EndpointSlice api-1 has no endpoint; add endpoints to it, or give the Service a selector"}},
		{"an EndpointSlice to be ignored", corefile, sound + strings.NewReplacer("name: web-2", "name: api-1", "kubernetes.io/service-name: web", "minilb/ignore: \"true\", kubernetes.io/service-name: api").Replace(endpoints("IPv4", "{addresses: [10.244.1.8]}")) + api("ports: []"), []string{
			"error Service shop/api NoEndpoints: no address is answered: it has no selector, and no EndpointSlice; give it a selector"}},
		{"another namespace's host", corefile, sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9") + ingress("b/i", "a.ex.org", young, "ip: 10.9.9.8"), []string{
			`error Ingress b/i HostConflict: host "a.ex.org" is refused: another namespace claimed it earlier; choose another host, or have the other claim removed, which "minilb explain a.ex.org" names`,
			"warning Corefile minilb OpenClaims: 2 namespaces (a, b) claim"}},
		{"a host of two namespaces that lead it to the same", trusting, sound + ingress("a/i", "a.ex.org", old, "hostname: web.shop.minilb") + ingress("b/i", "a.ex.org", young, "hostname: web.shop.minilb"), nil},
		{"hosts of several namespaces", corefile, sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9") + ingress("b/i", "b.ex.org", old, "ip: 10.9.9.9") + ingress("c/i", "x.c.minilb", old, "ip: 10.9.9.9"), []string{ // C6
			`warning Corefile minilb OpenClaims: 2 namespaces (a, b) claim hosts outside of the zones, and no claim line restricts them: each of them, and any other, gets whatever name nobody else has claimed, ` +
				`also one that the LAN asks for by itself, such as time.apple.com or dns.google; add lines such as "claim example.org from a" to the block of minilb, or "claim ." if all namespaces are trusted`}},
		{"hosts of several namespaces that are trusted", trusting, sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9") + ingress("b/i", "b.ex.org", old, "ip: 10.9.9.9"), nil},
		{"the name of its own Service", corefile, sound + ingress("shop/i", "web.shop.minilb", old, "hostname: web.shop.minilb") + ingress("a/i", "web.shop.minilb", old, "hostname: web.shop.minilb") +
			strings.Replace(ingress("b/i", "web.shop.minilb", old, ""), "name: i,", "name: i, annotations: {minilb/service: shop/web},", 1), nil},
		{"a host of the zone", corefile, sound + ingress("a/i", "x.b.minilb", old, "ip: 10.9.9.9"), []string{
			`error Ingress a/i HostReserved: host "x.b.minilb" is refused: names below b.minilb belong to namespace "b"; choose a host that lies below the namespace's own name there, or outside of the zone`}},
		{"no host", corefile, sound + ingress("a/i", "a_b.ex.org", old, "ip: 10.9.9.9"), []string{"error Ingress a/i InvalidHost: host \"a_b.ex.org\""}},
		{"a host that is relative, or that many do not ask for", corefile, strings.Replace(sound, "name: web,", "name: web, annotations: {minilb/host: nas tv.local},", 1), []string{
			`notice Service shop/web HostNotice: host "nas" has no dot, so it means nas.minilb`,
			`notice Service shop/web HostNotice: host "tv.local" lies in local, where macOS`}},
		{"a zone that many do not ask for", ". {\n minilb home.local\n}", strings.Replace(sound, "web.shop.minilb", "web.shop.home.local", 1), []string{
			"notice Zone home.local MulticastZone: home.local lies in local, where macOS, iOS and Linux with systemd-resolved or Avahi look names up by multicast and ask no server (RFC 6762); choose a zone in another domain"}},
		{"hosts that nobody may have", corefile, sound + ingress("a/i", "*.com", old, "ip: 10.9.9.9"), []string{
			`error Ingress a/i HostReserved: host "*.com" is refused: it would cover all domains of the public suffix "com"; the line "claim . com" in the Corefile would allow it, and all others as before; choose another host`}},
		{"annotations of other programs", ". {\n minilb minilb {\n  host_annotations minilb/host coredns.io/hostname\n  claim .\n }\n}",
			strings.Replace(sound, "name: web,", "name: web, annotations: {coredns.io/hostname: a.ex.org, external-dns.alpha.kubernetes.io/hostname: b.ex.org},", 1) +
				strings.Replace(ingress("a/i", "a.ex.net", old, "ip: 10.9.9.9"), "name: i,", "name: i, annotations: {coredns.io/hostname: a.ex.org, external-dns.alpha.kubernetes.io/hostname: b.ex.org},", 1) + `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: db, annotations: {external-dns.alpha.kubernetes.io/hostname: db.ex.org}}
spec: {type: ClusterIP}`, []string{
				"notice Service shop/web AnnotationIgnored: annotation external-dns.alpha.kubernetes.io/hostname has no effect: hosts are claimed by coredns.io/hostname, minilb/host; add",
				"notice Ingress a/i AnnotationIgnored: annotation coredns.io/hostname has no effect on objects of kind Ingress; name the host in spec.rules[].host"}},
		{"an address that nobody can reach", corefile, sound + ingress("a/i", "a.ex.org", old, "ip: 0.0.0.0"), []string{
			`error Ingress a/i InvalidObject: status address "0.0.0.0" is not an IP address that can be answered with; have its controller publish an address that clients can reach`,
			`error Ingress a/i HostNotServed: host "a.ex.org" is not served: its status has no usable address`}},
		{"an address outside of the networks that are answered", ". {\n minilb minilb {\n  addresses 10.9.0.0/16\n }\n}", sound + ingress("a/i", "a.ex.org", old, "ip: 10.8.9.9"), []string{ // D34
			`error Ingress a/i InvalidObject: status address "10.8.9.9" is left out: it lies in no network of the Corefile's property addresses; have its controller publish an address of such a network, or have the network added`,
			`error Ingress a/i HostNotServed: host "a.ex.org" is not served: its status has no address in a network of the Corefile's property addresses`}},
		{"a protocol", ". {\n minilb minilb {\n  https\n }\n}", strings.NewReplacer("name: web,", "name: web, annotations: {minilb/alpn: h 2},", "port: 80, targetPort: 80", "port: 443, targetPort: 443", "port: 80}]", "port: 443}]").Replace(sound), []string{
			`error Service shop/web InvalidObject: in annotation minilb/alpn, protocol "h 2" is refused: want one such as h2 or http/1.1; list protocols such as h2 and http/1.1, separated by commas`}},
		{"numbers", corefile, strings.Replace(sound, "name: web,", "name: web, annotations: {minilb/ttl: 1h, minilb/weight: \"256\"},", 1) +
			strings.Replace(ingress("shop/i", "a.ex.org", old, "ip: 10.9.9.9"), "name: i,", "name: i, annotations: {minilb/ttl: \"3601\", minilb/weight: \"1\"},", 1), []string{ // L2, L3
			`warning Service shop/web AnnotationIgnored: annotation minilb/ttl is "1h" and has no effect: want a number from 0 to 3600; correct it, or remove it`,
			`warning Service shop/web AnnotationIgnored: annotation minilb/weight is "256" and has no effect: want a number from 0 to 255; correct it`,
			`warning Ingress shop/i AnnotationIgnored: annotation minilb/ttl is "3601" and has no effect`,
			`warning Ingress shop/i AnnotationIgnored: annotation minilb/weight has no effect on objects of kind Ingress; set it on the Service`}},
		{"weights that are all 0", corefile, strings.Replace(sound, "name: web,", "name: web, annotations: {minilb/host: \"a.ex.org, b.ex.org\", minilb/weight: \"0\"},", 1) +
			strings.Replace(api("selector: {app: api}"), "name: api}", "name: api, annotations: {minilb/host: \"a.ex.org, b.ex.org\", minilb/weight: \"0\"}}", 1), []string{ // L3
			"error Service shop/api NoEndpoints",
			`warning Service shop/api ZeroWeights: host "a.ex.org" leads to Services of priority 0 whose weights are all 0 (shop/api, shop/web): each is answered as often as the others; give one of them a weight above 0, or remove the annotation minilb/weight from all`}},
		{"a weight that is 0", corefile, strings.Replace(sound, "name: web,", "name: web, annotations: {minilb/host: a.ex.org, minilb/weight: \"0\"},", 1) +
			strings.Replace(api("selector: {app: api}"), "name: api}", "name: api, annotations: {minilb/host: a.ex.org}}", 1), []string{"error Service shop/api NoEndpoints"}},
		{"an object that is not as its kind should be", corefile, sound + gateway + strings.Replace(route, "[r.ex.org]", "7", 1), []string{
			"error HTTPRoute shop/r InvalidObject: it is not as its kind should be and is left out: there is a number in spec.hostnames; correct the field: \"kubectl explain\" describes it"}},
		{"a host that nobody allows", ". {\n minilb minilb {\n  claim ex.org from shop\n }\n}", sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9"), []string{
			`error Ingress a/i HostNotAllowed: host "a.ex.org" is refused: no claim line of the Corefile lets namespace "a" have it; choose another host, or have the namespace added to the claim line`}},
		{"an Ingress without an address", corefile, sound + ingress("a/i", "a.ex.org", old, ""), []string{
			`error Ingress a/i HostNotServed: host "a.ex.org" is not served: its status has no address yet; is its ingress controller running and publishing one?; see that its controller copies its Service's hostname`}},
		{"a route that nobody accepts", corefile, sound + gateway + route, []string{
			`error HTTPRoute shop/r HostNotServed: host "r.ex.org" is not served: the route's status has no entry for Gateway shop/gw: is controller "example.org/gc" of GatewayClass "gc" running?; the route's hosts and a listener's must meet`,
		}},
		{"a host that no listener has", corefile, sound + strings.Replace(gateway, "protocol: HTTP", "protocol: HTTP, hostname: \"*.ex.org\"", 1) + strings.Replace(route, "[r.ex.org]", "[r.ex.org, r.ex.net]", 1) + accepted, []string{
			`error HTTPRoute shop/r HostNotServed: host "r.ex.net" is not served: no listener of Gateway shop/gw has a hostname for it: "http" has *.ex.org; the route`,
		}},
		{"a status that does not copy the parentRef", corefile, sound + gateway + route + strings.Replace(accepted, "{name: gw}", "{namespace: shop, name: gw, sectionName: http}", 1), nil},
		{"addresses that only the cluster reaches", trusting, sound + strings.Replace(gateway, "type: Hostname, value: web.shop.minilb", "value: 10.96.72.32}, {type: Hostname, value: envoy.edge.svc.corp.internal", 1) + route + accepted +
			ingress("a/i", "a.ex.org", old, "ip: 10.96.72.32") + `
---
apiVersion: v1
kind: Service
metadata: {namespace: edge, name: envoy}
spec: {type: ClusterIP, clusterIPs: [10.96.72.32]}`, []string{
			"warning Gateway shop/gw InClusterAddress: its status address 10.96.72.32 is the ClusterIP of Service edge/envoy: clients outside of the cluster do not reach hosts that lead there; let its controller publish",
			"warning Gateway shop/gw InClusterAddress: its status address envoy.edge.svc.corp.internal is the cluster's own name of Service edge/envoy: clients",
			"warning Ingress a/i InClusterAddress: its status address 10.96.72.32 is the ClusterIP of Service edge/envoy"}},
		{"a host with two aliases", corefile, sound + ingress("a/i", "a.ex.org", old, "hostname: x.example}, {hostname: y.example"), []string{
			`warning Ingress a/i HostDiffers: host "a.ex.org" has several hostnames as its addresses; only "x.example" is answered; run "minilb explain a.ex.org"`}},
		{"a host that cannot be asked for", "minilb {\n minilb\n}", sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9"), []string{
			`warning Ingress a/i HostDiffers: host "a.ex.org" cannot be asked for: no server block with minilb is for a zone it lies in`}},
		{"a Gateway without a class", corefile, sound + strings.Replace(gateway, "kind: GatewayClass\n", "kind: TLSRoute\n", 1), []string{
			"warning CustomResourceDefinition gatewayclasses.gateway.networking.k8s.io MissingDefinition: the API server serves other kinds of the Gateway API and not this one: Gateways have no controller; install",
			"warning CustomResourceDefinition httproutes.gateway.networking.k8s.io MissingDefinition: the API server serves other kinds of the Gateway API and not this one: no host of an HTTPRoute is answered"}},
		{"a route without a Gateway", corefile, sound + strings.Replace(route, "hostnames: [r.ex.org], ", "", 1), []string{
			"error HTTPRoute shop/r HostNotServed: it is not served: Gateway shop/gw does not exist: the API server does not serve its kind; the route's hosts and a listener's must meet",
			"warning CustomResourceDefinition gatewayclasses.gateway.networking.k8s.io MissingDefinition",
			"warning CustomResourceDefinition gateways.gateway.networking.k8s.io MissingDefinition: the API server serves other kinds of the Gateway API and not this one: no host of a route is answered"}},
		{"what was meant for us", trusting, sound + strings.Replace(ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9"), "name: i,", "name: i, labels: {minilb/ignore: yes please}, annotations: {minilb/host: a.ex.org},", 1) +
			strings.Replace(gateway+route, "name: gw}\nspec", "name: gw, annotations: {minilb/hots: x}}\nspec", 1) + "\nstatus: {parents: [{parentRef: {name: gw}, controllerName: example.org/gc, conditions: [{type: Accepted, status: \"True\"}]}]}", []string{
			"warning Gateway shop/gw AnnotationIgnored: annotation \"minilb/hots\" is none of ours",
			"warning Ingress a/i AnnotationIgnored: annotation minilb/host has no effect on objects of kind Ingress; name the host in spec.rules[].host",
			"warning Ingress a/i LabelIgnored: "}},
		{"ignored objects", corefile, sound + strings.Replace(ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9"), "name: i,", "name: i, labels: {minilb/ignore: \"true\"}, annotations: {minilb/host: a.ex.org},", 1), nil},
		{"annotations of Services", corefile, sound + `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: db, annotations: {minilb/host: db.ex.org, minilb/alpn: h2, minilb/hots: x}}
spec: {type: ClusterIP}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: hidden, labels: {minilb/ignore: "true"}, annotations: {minilb/host: db.ex.org, minilb/hots: x}}
spec: {type: ClusterIP}`, []string{
			"warning Service shop/db AnnotationIgnored: annotation \"minilb/hots\" is none of ours and has no effect; ",
			"warning Service shop/db AnnotationIgnored: annotation minilb/host has no effect: it counts only on Services of type LoadBalancer and class minilb, and on those with the label minilb/expose; make it such a Service",
			"warning Service shop/db AnnotationIgnored: annotation minilb/alpn has no effect: it counts only on Services of type LoadBalancer and class minilb"}},
		{"an annotation that no server reads", ". {\n minilb minilb {\n  host_annotations x.example/host\n }\n}", sound + `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: db, annotations: {minilb/host: db.ex.org}}
spec: {type: ClusterIP}`, []string{"warning Service shop/db AnnotationIgnored: annotation minilb/host has no effect: hosts are claimed by x.example/host; add minilb/host to host_annotations"}},
		{"annotations that count", corefile, strings.Replace(sound, "name: web,", "name: web, annotations: {minilb/host: a.ex.org, minilb/alpn: h2},", 1), nil},
		{"a node without an IPv4 address", corefile, strings.Replace(sound, "192.168.1.31", "2001:db8::31", 1), []string{
			"error Node n1 NoInternalIP: no IPv4 InternalIP for 10.244.1.0/24: its pods are not reached by that family; give the kubelet an address"}},
		{"a node without an IPv4 address, on purpose", ". {\n minilb minilb {\n  families ipv6\n }\n}", strings.NewReplacer("192.168.1.31", "2001:db8::31", "addressType: IPv4", "addressType: IPv6", "10.244.1.7", "fd00::7", "10.244.1.0/24", "10.244.1.0/24, fd00::/64").Replace(sound), nil},
		{"other namespaces", ". {\n minilb minilb {\n  namespaces shop\n }\n}", sound + strings.Replace(api("selector: {app: api}"), "namespace: shop", "namespace: dev", 1), nil},
		{"namespaces of two servers", ".:53 {\n minilb minilb {\n  namespaces shop\n }\n}\nlan:53 {\n minilb lan {\n  class other\n  namespaces dev\n }\n}",
			sound + strings.NewReplacer("namespace: shop", "namespace: dev", "Class: minilb", "Class: other", "shop.minilb", "dev.lan").Replace(api("selector: {app: api}")), []string{"error Service dev/api NoEndpoints"}},
		{"namespaces of one of two servers", ".:53 {\n minilb minilb {\n  namespaces shop\n }\n}\nlan:53 {\n minilb lan {\n  class other\n }\n}",
			sound + strings.NewReplacer("namespace: shop", "namespace: dev", "Class: minilb", "Class: other", "shop.minilb", "prod.lan").Replace(api("selector: {app: api}")), []string{"error Service dev/api StatusConflict", "error Service dev/api NoEndpoints"}},
		{"the first server's domain", ". {\n minilb minilb lan\n}", strings.Replace(sound, "web.shop.minilb", "web.shop.lan", 1), []string{
			"error Service shop/web StatusConflict: its status is web.shop.lan, want web.shop.minilb"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			report, err := ofCluster(t, tc.corefile, tc.manifest).run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			expect(t, report.Problems, tc.want)
		})
	}
}

// expect reports an error unless each of the wanted texts is in one problem, and each problem has one.
func expect(t *testing.T, problems []Problem, want []string) {
	t.Helper()
	got := lines(problems)
	for _, text := range want {
		n := 0
		for _, line := range got {
			if strings.Contains(line, text) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d problems with\n%s", n, text)
		}
	}
	if len(got) != len(want) || t.Failed() {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
