package explain

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/config"
)

// The objects of a small cluster, one behind the other.
const (
	web = `
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web, creationTimestamp: "2026-01-01T00:00:00Z", annotations: {minilb/host: "a.ex.org, *.w.ex.org"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.244.1.8], nodeName: n2, hostname: web-1}, {addresses: [10.244.1.7], nodeName: n1, hostname: web-0}]
`
	// pending has an endpoint that is not ready.
	pending = `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: pending}
spec: {type: LoadBalancer, loadBalancerClass: minilb}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: pending-1, labels: {kubernetes.io/service-name: pending}}
addressType: IPv4
endpoints: [{addresses: [10.244.1.9], conditions: {ready: false}}]
`
	empty = `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: empty}
spec: {type: LoadBalancer, loadBalancerClass: minilb}
`
	// db is a Service that is not ours.
	db = `
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: db}
spec: {type: ClusterIP}
`
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
spec: {gatewayClassName: gc, listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.g.ex.org"}, {name: admin, port: 81, protocol: HTTP, hostname: admin.ex.org}]}
status: {addresses: [{type: Hostname, value: web.shop.minilb}]}
`
	accepted = "\nstatus: {parents: [{parentRef: {name: gw}, controllerName: example.org/gc, conditions: [{type: Accepted, status: \"True\"}]}]}"
	route    = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: r, creationTimestamp: "2026-03-03T00:00:00Z"}
spec: {hostnames: [r.g.ex.org], parentRefs: [{name: gw}]}`
)

// ingress returns an Ingress that claims a host and has an address, or a hostname in its place.
func ingress(id, host, address string) string {
	namespace, name, _ := strings.Cut(id, "/")
	return fmt.Sprintf(`
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: %s, name: %s, creationTimestamp: "2026-02-02T00:00:00Z"}
spec: {rules: [{host: %q}]}
status: {loadBalancer: {ingress: [{%s}]}}
`, namespace, name, host, address)
}

// cluster is one with the objects of a manifest, and the DNS server's Corefile.
type testCluster struct {
	corefile *config.Corefile
	objects  []runtime.Object
	client   *fake.Clientset
}

func newCluster(t *testing.T, text, manifest string) *testCluster {
	t.Helper()
	corefile, err := config.Read("Corefile", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all, typed []runtime.Object
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if runtime.IsNotRegisteredError(err) {
			custom := &unstructured.Unstructured{}
			object, err = custom, yaml.Unmarshal([]byte(document), &custom.Object)
		} else {
			typed = append(typed, object)
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		all = append(all, object)
	}
	return &testCluster{corefile, all, fake.NewClientset(typed...)}
}

// explain explains a name as the command does.
func (c *testCluster) explain(t *testing.T, name string) *Explanation {
	t.Helper()
	return c.explainFor(t, name, netip.Prefix{})
}

// explainFor is explain for a client in a network.
func (c *testCluster) explainFor(t *testing.T, name string, network netip.Prefix) *Explanation {
	t.Helper()
	names, err := Names([]string{name}, c.corefile)
	if err != nil {
		t.Fatal(err)
	}
	all, err := explain(t.Context(), c.client, c.corefile, names, network, func(options ...config.Options) ([]*inspect.DryRun, error) {
		return inspect.Objects(c.objects, c.corefile.Covered, options...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func date(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}
