package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// eventsCorefile lets namespace prod alone have hosts below prod.example.
const eventsCorefile = `
.:53 {
    minilb minilb {
        claim . from shop evil infra
        claim prod.example from prod
    }
}
`

// eventsObjects are wrong in one way each. Those in evil are younger than those in shop.
const eventsObjects = `
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: evil}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: infra}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {minilb/host: "a.example, a_b"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: ports, namespace: shop}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  sessionAffinity: ClientIP
  loadBalancerSourceRanges: [192.0.2.0/24]
  loadBalancerIP: 192.0.2.1
  externalIPs: [192.0.2.2]
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}, {name: dns, port: 53}]
---
apiVersion: v1
kind: Service
metadata: {name: typo, namespace: shop, annotations: {minilb/hots: b.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: classless, namespace: shop, annotations: {minilb/host: c.example}}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: near, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: mini-lb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: shop, labels: {app: pods}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pods-1, namespace: shop, labels: {kubernetes.io/service-name: pods, endpointslice.kubernetes.io/managed-by: test}}
addressType: IPv4
ports: [{name: http, port: 8000}]
endpoints: [{addresses: [10.9.0.9], nodeName: n1}, {addresses: [10.9.0.8], nodeName: n1}]
---
apiVersion: v1
kind: Service
metadata: {name: bare, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bare-1, namespace: shop, labels: {kubernetes.io/service-name: bare, endpointslice.kubernetes.io/managed-by: test}}
addressType: IPv4
ports: [{name: "", port: 80}]
endpoints: [{addresses: [10.244.5.7], nodeName: n1}, {addresses: [10.244.9.7], nodeName: bare}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: pending, namespace: shop, annotations: {minilb/host: d.example}}
spec: {rules: [{host: d.example, PATHS}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: taken, namespace: evil}
spec: {rules: [{host: a.example, PATHS}, {host: b.prod.example, PATHS}, {host: x.shop.minilb, PATHS}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.6}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: example}
spec: {controllerName: example.org/gateways}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: example
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.example", allowedRoutes: {namespaces: {from: All}}}]
status: {addresses: [{value: 192.0.2.7}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: waiting, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: infra}], hostnames: [waiting.example]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: elsewhere, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: infra}], hostnames: [elsewhere.test]}
status:
  parents: [{parentRef: {name: gw, namespace: infra}, controllerName: example.org/gateways, conditions: ` + harness.GatewayAccepted + `}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: partly, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: infra}], hostnames: [partly.example, partly.test]}
status:
  parents: [{parentRef: {name: gw, namespace: infra, sectionName: http}, controllerName: example.org/gateways, conditions: ` + harness.GatewayAccepted + `}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: hidden, namespace: infra, labels: {minilb/ignore: "true"}}
spec: {gatewayClassName: example, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hidden, namespace: shop}
spec: {parentRefs: [{name: hidden, namespace: infra}], hostnames: [hidden.example]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orphan, namespace: shop}
spec: {hostnames: [orphan.example]}
`

// described returns what "kubectl describe" shows of the controller's Events on an object, which it asks
// for like that: Type, Reason, From and Message, sorted. Others write Events, too: the API server's
// repair of cluster IPs does on Services that are created while it runs.
func described(t *testing.T, c *cluster.Cluster, kind, namespace, name string) []string {
	t.Helper()
	list, err := c.Client.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: fields.Set{
		"involvedObject.kind": kind, "involvedObject.namespace": namespace, "involvedObject.name": name,
	}.String()})
	harness.Must(t, err)
	var lines []string
	for _, e := range list.Items {
		if e.ReportingController != "minilb.io/controller" {
			continue
		}
		if len(e.Message) > 1024 || e.EventTime.IsZero() || e.InvolvedObject.UID == "" {
			t.Errorf("event %s: %+v", e.Name, e)
		}
		lines = append(lines, strings.Join([]string{e.Type, e.Reason, e.ReportingController, e.Message}, " "))
	}
	slices.Sort(lines)
	return lines
}

// S5, S17, E11, C3, C6, D17, I10, M2, R3: what is wrong with an object is told by an Event on it,
// with what to do, once: whatever is restarted and however many controllers there are.
func TestControllerEvents(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{ControllerManagerFlags: []string{"--allocate-node-cidrs=false"}})
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	harness.ApplyTogether(t, c, harness.NewestGateways.Definitions(t))
	harness.CheckedNode(t, c, "n1", []string{"10.244.5.0/24", "fd00:5::/64"}, "192.168.1.31")
	harness.Must(t, c.Node(t.Context(), "bare", "192.168.1.32"))
	corefile := filepath.Join(t.TempDir(), "Corefile")
	harness.Must(t, os.WriteFile(corefile, []byte(eventsCorefile), 0o644))
	objects := strings.ReplaceAll(eventsObjects, "PATHS", "http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}")
	older, younger, _ := strings.Cut(objects, "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: taken")
	harness.Must(t, c.Apply(t.Context(), older))
	// The resolution of creationTimestamp (C2).
	time.Sleep(time.Until(harness.GetService(t, c, "shop", "web").CreationTimestamp.Add(1050 * time.Millisecond)))
	harness.Must(t, c.Apply(t.Context(), "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: taken"+younger))

	flags := []string{"-corefile", corefile}
	start := func() *harness.Controller {
		t.Helper()
		return harness.LaunchController(t, harness.HastyMinilb, kubeconfig, flags...).WaitReady(t)
	}
	p := start()
	const by = " minilb.io/controller "
	updated := func(name string) string {
		return "Normal StatusUpdated" + by + "The Service is reached as " + name + ".shop.minilb, which its status has now"
	}
	const unsupported = " has no effect: clients connect to the pods themselves; "
	const noEndpoints = "Warning NoEndpoints" + by + "No address is answered: it has no selector, and no EndpointSlice with addresses; give it a selector, or create EndpointSlices with the label kubernetes.io/service-name"
	want := map[string][]string{
		"Service shop/web": {updated("web"), noEndpoints,
			`Warning InvalidHost` + by + `Host "a_b" in annotation minilb/host is refused: it is not a DNS name of letters, digits, hyphens and dots; correct it, hosts beside it are served`},
		"Service shop/ports": {updated("ports"), noEndpoints,
			`Normal UnsupportedSessionAffinity` + by + `spec.sessionAffinity` + unsupported + `set the property affinity in the Corefile, or remove it`,
			`Warning UnsupportedLoadBalancerSourceRanges` + by + `spec.loadBalancerSourceRanges` + unsupported + `remove it, and admit clients by a NetworkPolicy on the pods, as "minilb policy" prints it`,
			`Normal UnsupportedLoadBalancerIP` + by + `spec.loadBalancerIP` + unsupported + `remove it: the Service has a name, and the addresses of its pods`,
			`Normal UnsupportedExternalIPs` + by + `spec.externalIPs` + unsupported + `remove it: the Service has a name, and the addresses of its pods`,
			`Warning TargetPortMismatch` + by + `Port 80 (http) leads to port 8080 of the pods, and nothing translates it: clients must use 8080; make port and targetPort the same, or let clients look up SRV records`,
			`Warning TargetPortMismatch` + by + `Port 443 (https) leads to port 8443 of the pods, and nothing translates it: clients must use 8443; make port and targetPort the same, or let clients look up SRV records`},
		"Service shop/typo": {updated("typo"), noEndpoints,
			`Warning AnnotationIgnored` + by + `Annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`},
		"Service shop/classless": {
			`Warning AnnotationIgnored` + by + `Annotation minilb/host is ignored, as the Service has no loadBalancerClass: create the Service anew with loadBalancerClass "minilb", which cannot be changed`},
		"Service shop/near": {
			`Warning WrongClass` + by + `loadBalancerClass "mini-lb" looks like a typo of "minilb", so that nobody serves the Service: create it anew with that class, or give it type ClusterIP in between, as a class cannot be changed`},
		"Service shop/pods": {updated("pods"),
			`Warning TargetPortMismatch` + by + `Port 80 (http) leads to port 8000 of the pods, and nothing translates it: clients must use 8000; make port and targetPort the same, or let clients look up SRV records`,
			`Warning NoRoutableEndpoint` + by + `The routes do not lead to any endpoint, for example 10.9.0.8, which is outside 10.244.5.0/24 and fd00:5::/64 of node n1: the CNI does not use the nodes' podCIDRs: see "minilb routes -h" for what -pods knows, or have the CNI give pods addresses out of the podCIDRs`},
		"Service shop/bare": {updated("bare"),
			`Warning NoRoutableEndpoint` + by + `The routes do not lead to some endpoints, for example 10.244.9.7, which is on node bare, which has no podCIDR: run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr, or have the CNI set spec.podCIDRs`},
		"Ingress shop/pending": {
			`Warning AnnotationIgnored` + by + `Annotation minilb/host has no effect on objects of kind Ingress: name the host in spec.rules[].host`,
			`Warning HostNotServed` + by + `Host "d.example" is not served: its status has no address yet; is its ingress controller running and publishing one?`},
		"Ingress evil/taken": {
			`Warning HostConflict` + by + `Host "a.example" is refused: another namespace claimed it earlier; choose another host, or have the other claim removed`,
			`Warning HostNotAllowed` + by + `Host "b.prod.example" is refused: no claim line of the Corefile lets namespace "evil" have it; choose another host, or have the namespace added to the claim line`,
			`Warning HostReserved` + by + `Host "x.shop.minilb" is refused: names below shop.minilb belong to namespace "shop"; choose a host that lies below the namespace's own name there, or outside of the zone`},
		"HTTPRoute shop/waiting": {
			`Warning HostNotServed` + by + `Host "waiting.example" is not served: the route's status has no entry for Gateway infra/gw: is controller "example.org/gateways" of GatewayClass "example" running?`},
		"HTTPRoute shop/elsewhere": {
			`Warning HostNotServed` + by + `Host "elsewhere.test" is not served: no listener of Gateway infra/gw has a hostname for it: "http" has *.example`},
		"HTTPRoute shop/partly": { // G20b: hosts that no listener has, beside one that is served
			`Warning HostNotServed` + by + `Host "partly.test" is not served: no listener of Gateway infra/gw has a hostname for it: "http" has *.example`},
		"HTTPRoute shop/hidden": {
			`Warning HostNotServed` + by + `Host "hidden.example" is not served: Gateway infra/hidden has label minilb/ignore or k8s-gateway.dns/ignore, which makes it absent`},
		"HTTPRoute shop/orphan": {
			`Warning HostNotServed` + by + `Host "orphan.example" is not served: it has no parentRefs: name the Gateway that is to serve it`},
		"Gateway infra/gw":     nil,
		"Gateway infra/hidden": nil,
	}
	// check fails unless the objects' Events are exactly these.
	check := func() error {
		for object, lines := range want {
			kind, name, _ := strings.Cut(object, " ")
			namespace, name, _ := strings.Cut(name, "/")
			slices.Sort(lines)
			if got := described(t, c, kind, namespace, name); !slices.Equal(got, lines) {
				return fmt.Errorf("%s: got\n%s\nwant\n%s", object, strings.Join(got, "\n"), strings.Join(lines, "\n"))
			}
		}
		return nil
	}
	began := time.Now()
	cluster.Eventually(t, 60*time.Second, check)
	t.Logf("all was told %v after the start", time.Since(began).Round(time.Second))
	all, err := c.Client.EventsV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "reportingController=minilb.io/controller"})
	harness.Must(t, err)
	total, lasting := 0, 0.0
	for _, lines := range want {
		total += len(lines)
		for _, line := range lines {
			if !strings.Contains(line, " StatusUpdated ") {
				lasting++
			}
		}
	}
	if len(all.Items) != total {
		t.Errorf("%d events, want %d", len(all.Items), total)
	}
	expectTroubles(p, t, "pod IP outside podCIDRs")

	// What is put right is told to be, for each reason, but not of what is deleted; what is changed and wrong is told, and a
	// new generation.
	patch := func(name, body string) {
		t.Helper()
		_, err := c.Client.CoreV1().Services("shop").Patch(t.Context(), name, "application/merge-patch+json", []byte(body), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	patch("typo", `{"metadata":{"annotations":{"minilb/hots":null,"minilb/hsot":"b.example"}}}`)
	want["Service shop/typo"] = append(want["Service shop/typo"], `Warning AnnotationIgnored`+by+`Annotation "minilb/hsot" is none of ours and has no effect: set the annotation minilb/host`)
	patch("near", `{"spec":{"type":"ClusterIP","loadBalancerClass":null}}`)
	want["Service shop/near"] = append(want["Service shop/near"], "Normal Resolved"+by+"WrongClass: no longer so")
	harness.Must(t, c.Client.CoreV1().Services("shop").Delete(t.Context(), "classless", metav1.DeleteOptions{}))
	ingress, err := c.Client.NetworkingV1().Ingresses("evil").Get(t.Context(), "taken", metav1.GetOptions{})
	harness.Must(t, err)
	ingress.Spec.Rules = ingress.Spec.Rules[:1]
	_, err = c.Client.NetworkingV1().Ingresses("evil").Update(t.Context(), ingress, metav1.UpdateOptions{})
	harness.Must(t, err)
	taken := want["Ingress evil/taken"] // of the hosts the first stays
	want["Ingress evil/taken"] = append(taken, taken[0], "Normal Resolved"+by+"HostNotAllowed: no longer so", "Normal Resolved"+by+"HostReserved: no longer so")
	harness.Must(t, c.Client.NetworkingV1().Ingresses("shop").Delete(t.Context(), "pending", metav1.DeleteOptions{}))
	cluster.Eventually(t, 30*time.Second, check)

	// Another controller, and one after a restart, say nothing twice.
	p.Stop(t)
	p = start()
	other := start()
	_, err = c.Client.NetworkingV1().Ingresses("evil").Patch(t.Context(), "taken", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	lasting -= 2 + 1 + 1 + 2 // hosts of the Ingress, two Services, and what another Ingress had
	cluster.Eventually(t, 30*time.Second, func() error {
		if got := []float64{findings(p), findings(other)}; !slices.Equal(got, []float64{lasting, lasting}) {
			return fmt.Errorf("the controllers have %v findings, want %v each", got, lasting)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // the longest that a finding must last, and a second
	harness.Must(t, check())

	// Who counts: the first controller wrote all that there was then, the others what came.
	_, metrics := harness.Get(p.URL + "/metrics")
	for _, pattern := range []string{`(?m)^minilb_controller_events_total\{reason="TargetPortMismatch"\} 0$`, `(?m)^minilb_controller_event_errors_total 0$`} {
		if !regexp.MustCompile(pattern).MatchString(metrics) {
			t.Errorf("/metrics has nothing like %q", pattern)
		}
	}
}

// findings returns how much a controller has found to be wrong.
func findings(p *harness.Controller) float64 {
	_, metrics := harness.Get(p.URL + "/metrics")
	return harness.Sum(metrics, "minilb_controller_findings ")
}

// A tenant whose objects are all wrong takes no more than a share of what is written, and what is wrong
// elsewhere is told none the less.
func TestControllerEventsFlood(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	evil, shop := harness.NewNamespace(t, c), harness.NewNamespace(t, c)
	p := harness.StartController(t, harness.ShippedAccounts(t, c).Controller, "-class", evil).WaitReady(t)
	began := time.Now()
	wrong := func(s *corev1.Service) {
		s.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}
	}
	objects := 100
	if harness.Full {
		objects = 2000
	}
	harness.Parallel(t, objects, func(i int) error {
		service := harness.NewService(evil, fmt.Sprintf("s%d", i), evil)
		wrong(service)
		_, err := c.Client.CoreV1().Services(evil).Create(t.Context(), service, metav1.CreateOptions{})
		return err
	})
	harness.CreateService(t, c, shop, "web", evil, wrong)
	cluster.Eventually(t, 20*time.Second, func() error {
		if got := described(t, c, "Service", shop, "web"); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "Warning TargetPortMismatch") {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	list, err := c.Client.EventsV1().Events(evil).List(t.Context(), metav1.ListOptions{})
	harness.Must(t, err)
	elapsed := time.Since(began)
	t.Logf("%d events of %d bad objects within %v", len(list.Items), objects, elapsed.Round(time.Second))
	if most := 20 + int(elapsed.Seconds()) + 1; len(list.Items) > most {
		t.Errorf("%d events in %v, want %d at most", len(list.Items), elapsed, most)
	}
	if objects == 100 {
		p.Untroubled(t)
	} else {
		expectTroubles(p, t, "too many problems to write Events of all")
	}
}
