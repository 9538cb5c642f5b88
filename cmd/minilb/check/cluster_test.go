package check

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// sound is a cluster with nothing wrong: a Service with an endpoint on the one node.
const sound = `
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.31}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: web}, ports: [{port: 80, targetPort: 80}]}
status: {loadBalancer: {ingress: [{hostname: web.shop.minilb}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 80}]
endpoints: [{addresses: [10.244.1.7], nodeName: n1}]
`

// parse reads the objects of a manifest, those of the Gateway API as *unstructured.Unstructured.
func parse(t *testing.T, manifest string) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for document := range strings.SplitSeq(manifest, "\n---\n") {
		object, _, err := decoder.Decode([]byte(document), nil, nil)
		if runtime.IsNotRegisteredError(err) {
			custom := &unstructured.Unstructured{}
			object, err = custom, yaml.Unmarshal([]byte(document), &custom.Object)
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		all = append(all, object)
	}
	return all
}

// ofCluster returns a checker of a cluster with the objects of a manifest, by a Corefile. It
// looks at no ServiceAccounts and asks no DNS server.
func ofCluster(t *testing.T, text, manifest string) *checker {
	t.Helper()
	corefile, err := config.Read("Corefile", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	objects := parse(t, manifest)
	var typed []runtime.Object
	for _, object := range objects {
		if _, custom := object.(*unstructured.Unstructured); !custom {
			typed = append(typed, object)
		}
	}
	return newChecker(Options{Corefile: corefile}, fake.NewClientset(typed...), networksOf(objects), inspecting(corefile, func() []runtime.Object { return objects }))
}

// networksOf serves the kinds of CNIs that are among the objects.
func networksOf(objects []runtime.Object) *podnetworks.Clients {
	served, kinds := informer.Served{}, map[schema.GroupVersionResource]string{}
	lists := map[schema.GroupVersionResource]*unstructured.UnstructuredList{}
	for _, object := range objects {
		custom, is := object.(*unstructured.Unstructured)
		if !is {
			continue
		}
		resource, _ := meta.UnsafeGuessKindToResource(custom.GroupVersionKind())
		if served[resource], kinds[resource] = true, custom.GetKind()+"List"; lists[resource] == nil {
			lists[resource] = &unstructured.UnstructuredList{}
			lists[resource].SetResourceVersion("1")
		}
		lists[resource].Items = append(lists[resource].Items, *custom)
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, lists[action.GetResource()], nil
	})
	return &podnetworks.Clients{Dynamic: client, Served: func(context.Context) (informer.Served, error) { return served, nil }}
}

func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	resource := strings.ToLower(kind.Kind) + "s"
	if strings.HasSuffix(kind.Kind, "s") {
		resource = strings.ToLower(kind.Kind) + "es"
	}
	return kind.GroupVersion().WithResource(resource)
}

// inspecting returns what reads a cluster that has the objects at that moment.
func inspecting(corefile *config.Corefile, objects func() []runtime.Object) dryRun {
	return func(_ context.Context, options ...config.Options) ([]*inspect.DryRun, error) {
		return inspect.Objects(objects(), corefile.Covered, options...)
	}
}

// lines returns what is found, one a line.
func lines(problems []Problem) []string {
	var all []string
	for _, f := range problems {
		all = append(all, fmt.Sprintf("%s %s %s: %s; %s", f.Severity, f.object(), f.Reason, f.Text, f.Fix))
	}
	return all
}
