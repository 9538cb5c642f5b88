package translator

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// fakeAPI streams lists as the API server does, or refuses to.
type fakeAPI struct {
	mu        sync.Mutex
	objects   map[string][]runtime.Object // by resource
	refused   map[string]error
	offered   informer.Served   // of the Gateway API
	asked     int               // how often that was
	silent    error             // in place of that
	hung      string            // the resource whose lists never end
	selectors map[string]string // what was asked for last
	streams   map[string]*watch.RaceFreeFakeWatcher
	dynamic   *dynamicfake.FakeDynamicClient
}

// newFakeAPI returns one without objects.
func newFakeAPI() *fakeAPI {
	return &fakeAPI{objects: map[string][]runtime.Object{}, refused: map[string]error{}, selectors: map[string]string{}, streams: map[string]*watch.RaceFreeFakeWatcher{}}
}

// labelledServices are what is watched of Services by their label.
const labelledServices = "labelled services"

// named returns what a resource is called here: those of the Gateway API with their version.
func named(gvr schema.GroupVersionResource) string {
	if gvr.Group == object.GatewayGroup || gvr.Group == object.GatewayXGroup {
		return gvr.Resource + "/" + gvr.Version
	}
	return gvr.Resource
}

// serve makes a fake client one of it.
func (a *fakeAPI) serve(client *clienttesting.Fake) {
	client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := a.refused[named(action.GetResource())]; err != nil {
			return true, nil, err
		}
		return true, nil, errors.New("lists are streamed")
	})
	client.PrependWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		resource := named(action.GetResource())
		if err := a.refused[resource]; err != nil {
			return true, nil, err
		}
		selected := action.(clienttesting.WatchAction).GetWatchRestrictions()
		if resource == "services" && !selected.Labels.Empty() {
			resource = labelledServices
		}
		a.selectors[resource] = cmp.Or(selected.Fields.String(), selected.Labels.String())
		stream := watch.NewRaceFreeFake()
		a.streams[resource] = stream
		if resource != a.hung {
			a.list(resource)
		}
		return true, stream, nil
	})
}

// list streams all objects of a resource, and that these were all. It is called with the lock held.
func (a *fakeAPI) list(resource string) {
	stream := a.streams[resource]
	for _, object := range a.objects[resource] {
		stream.Add(object)
	}
	end := a.empty(resource)
	end.(metav1.Object).SetResourceVersion("1")
	end.(metav1.Object).SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	stream.Action(watch.Bookmark, end)
}

func (*fakeAPI) empty(resource string) runtime.Object {
	switch resource {
	case "services", labelledServices:
		return &corev1.Service{}
	case "endpointslices":
		return &discoveryv1.EndpointSlice{}
	case "ingresses":
		return &networkingv1.Ingress{}
	case "namespaces":
		return &corev1.Namespace{}
	case "nodes":
		return &corev1.Node{}
	}
	return &unstructured.Unstructured{Object: map[string]any{}}
}

func (a *fakeAPI) discover(context.Context) (informer.Served, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return maps.Clone(a.offered), a.silent
}

// timesAsked returns how often it was asked what it serves.
func (a *fakeAPI) timesAsked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// offer makes it serve these resources of the Gateway API, such as "httproutes/v1".
func (a *fakeAPI) offer(resources ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offered = informer.Served{}
	for _, resource := range resources {
		name, version, _ := strings.Cut(resource, "/")
		group := object.GatewayGroup
		if name == "xlistenersets" {
			group = object.GatewayXGroup
		}
		a.offered[schema.GroupVersionResource{Group: group, Version: version, Resource: name}] = true
	}
}

// refuse makes requests for the resource fail from now on, or work again.
func (a *fakeAPI) refuse(resource string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[resource] = err
}

func (a *fakeAPI) send(resource string, event watch.EventType, object runtime.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	object.(metav1.Object).SetResourceVersion("2")
	a.streams[resource].Action(event, object)
}

// fakeState is a Service, its endpoint, and Ingresses that lead to an address and to the Service.
func fakeState() map[string][]runtime.Object {
	address, service := testIngress("shop/address", "a.ex.org"), testIngress("shop/service", "s.ex.org")
	address.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.9"}}
	service.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
	return map[string][]runtime.Object{
		"services": {testService("shop/web", 1, "web.ex.org, bad_host")},
		"endpointslices": {&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
		}},
		"ingresses": {address, service},
	}
}

// listKinds names the lists of all that may be read of the Gateway API.
func listKinds() map[schema.GroupVersionResource]string {
	kinds := map[schema.GroupVersionResource]string{}
	for _, kind := range slices.Concat(cluster.ListenerSetKinds, cluster.RouteKinds, []string{object.KindGateway, object.KindGatewayClass}) {
		for _, version := range cluster.Versions[kind] {
			kinds[version] = "List"
		}
	}
	return kinds
}

var (
	errForbidden   = apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
	errAbsent      = apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, "")
	errUnwell      = apierrors.NewInternalError(errors.New("etcd"))
	errUnreachable = &url.Error{Op: "Get", URL: "https://api.example/x", Err: errors.New("connection refused")}
)

// What stores of package informer wait for.
const (
	forbiddenGrace  = 2 * time.Second
	optionalTimeout = 4 * time.Second
	listTimeout     = 30 * time.Second
	confirmation    = 2 * time.Second
	triggerPause    = time.Second
)
