// Package source watches the cluster and translates its objects into DNS names: it knows
// Kubernetes, and fills the index of package records. One Watcher reads the objects of an
// API server; any number of Translators turn them into the names of one Corefile stanza each.
package source

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1client "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/connrotation"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Watcher keeps tables of the cluster's objects up to date, one a kind and namespace, however
// many Translators read them.
type Watcher struct {
	core       corev1client.CoreV1Interface
	discovery  discoveryv1client.DiscoveryV1Interface
	networking networkingv1client.NetworkingV1Interface
	server     *server
	dialer     *connrotation.Dialer // knows the connections, so that Run can end them
	contact    *contact             // knows whether anything was ever heard on them
	host       string               // of the API server, as it is configured

	CodecFields object.Fields              // what some Translator needs of the objects
	judging     bool                       // whether some Translator has its claims judged
	probing     map[time.Duration]*probing // by interval
	services    map[string]*table[*corev1.Service, *object.Service]
	slices      map[string]*table[*discoveryv1.EndpointSlice, *object.EndpointSlice]
	ingresses   map[string]*table[*networkingv1.Ingress, *object.Ingress]
	gatewayAPI  *gatewayAPI
	stored      []stored // all tables
	translators []*Translator
	reporter    *reporter
	run         []func(context.Context) // one a goroutine, started by Run
}

// NewWatcher returns a Watcher of the API server that config names. Nothing is dialled before Run.
func NewWatcher(config *rest.Config, log Logger) (*Watcher, error) {
	config = rest.CopyConfig(config)
	if config.Dial == nil {
		config.Dial = new(net.Dialer).DialContext
	}
	heard := &contact{}
	dialer := connrotation.NewDialer(heard.dial(config.Dial))
	config.Dial = dialer.DialContext
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("configure the client: %w", err)
	}
	w := &Watcher{
		server:    &server{log: log},
		dialer:    dialer,
		contact:   heard,
		host:      config.Host,
		reporter:  newReporter(log),
		probing:   map[time.Duration]*probing{},
		services:  map[string]*table[*corev1.Service, *object.Service]{},
		slices:    map[string]*table[*discoveryv1.EndpointSlice, *object.EndpointSlice]{},
		ingresses: map[string]*table[*networkingv1.Ingress, *object.Ingress]{},
	}
	return w, w.connect(config, client)
}

func (w *Watcher) connect(config *rest.Config, client *http.Client) (err error) {
	if w.core, err = corev1client.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("configure the client: %w", err)
	}
	if w.discovery, err = discoveryv1client.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("configure the client: %w", err)
	}
	if w.networking, err = networkingv1client.NewForConfigAndClient(config, client); err != nil {
		return fmt.Errorf("configure the client: %w", err)
	}
	custom, err := dynamic.NewForConfigAndClient(dynamic.ConfigFor(config), client)
	if err != nil {
		return fmt.Errorf("configure the client: %w", err)
	}
	w.gatewayAPI, err = newGatewayAPI(w, custom)
	return err
}

// Run watches until the context is cancelled, and returns when everything that it started
// has ended. All Translators must have been added before.
func (w *Watcher) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer w.dialer.CloseAll() // or they would linger for a minute and a half with their goroutines
	defer running.Wait()
	for _, run := range w.run {
		running.Go(func() { run(ctx) })
	}
	for _, t := range w.translators {
		running.Go(func() { t.run(ctx) })
		running.Go(func() { t.services.run(ctx) })
	}
}

// LogShared lets log have what is said of the API server as such and of Services, for whoever has another
// watch of these. It is called before Run.
func (w *Watcher) LogShared(log Logger) { w.server.shared = log }

// add lets a Translator read the tables it needs, in the namespaces it is limited to.
func (w *Watcher) add(t *Translator) {
	w.translators = append(w.translators, t)
	w.CodecFields.Classes = append(w.CodecFields.Classes, t.options.Class)
	if t.options.DefaultClass {
		w.CodecFields.Classes = append(w.CodecFields.Classes, "")
	}
	w.CodecFields.Classes = config.Distinct(w.CodecFields.Classes)
	w.CodecFields.HostAnnotations = config.Distinct(slices.Concat(w.CodecFields.HostAnnotations, t.options.HostAnnotations))
	w.CodecFields.HTTPS = w.CodecFields.HTTPS || t.options.HTTPS
	w.CodecFields.Nodes = w.CodecFields.Nodes || t.options.Probe != 0
	w.judging = w.judging || t.hooks.OnResolved != nil
	namespaces := t.options.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		services := w.serviceTable(namespace)
		services.subscribers = append(services.subscribers, t.onService)
		t.watching = append(t.watching, services.health)

		if !t.claimsOnly {
			slices := w.sliceTable(namespace)
			slices.subscribers = append(slices.subscribers, t.onSlice)
			t.slices = append(t.slices, slices.health)
		}

		if t.options.Ingresses {
			ingresses := w.ingressTable(namespace)
			ingresses.subscribers = append(ingresses.subscribers, t.onIngress)
			t.await(ingresses.health)
		}
		if t.options.Gateways {
			w.gatewayAPI.add(t, namespace)
		}
	}
}

func (w *Watcher) serviceTable(namespace string) *table[*corev1.Service, *object.Service] {
	t := w.services[namespace]
	if t == nil {
		t = newTable(w, &health{kind: "service", resource: "services", namespace: namespace}, func(full *corev1.Service) *object.Service { return object.NewService(full, &w.CodecFields) })
		w.services[namespace] = t
		// The API server hands out LoadBalancers alone; one that changes its type is reported as deleted.
		start(w, t, w.core.Services(namespace), "spec.type="+string(corev1.ServiceTypeLoadBalancer))
	}
	return t
}

func (w *Watcher) sliceTable(namespace string) *table[*discoveryv1.EndpointSlice, *object.EndpointSlice] {
	t := w.slices[namespace]
	if t == nil {
		t = newTable(w, &health{kind: "endpointslice", resource: "endpointslices", group: "discovery.k8s.io", namespace: namespace}, func(full *discoveryv1.EndpointSlice) *object.EndpointSlice {
			return object.NewEndpointSlice(full, &w.CodecFields)
		})
		w.slices[namespace] = t
		start(w, t, w.discovery.EndpointSlices(namespace), "")
	}
	return t
}

func (w *Watcher) ingressTable(namespace string) *table[*networkingv1.Ingress, *object.Ingress] {
	t := w.ingresses[namespace]
	if t == nil {
		t = newTable(w, &health{kind: "ingress", resource: "ingresses", group: "networking.k8s.io", namespace: namespace, optional: true}, func(full *networkingv1.Ingress) *object.Ingress { return object.NewIngress(full, &w.CodecFields) })
		w.ingresses[namespace] = t
		start(w, t, w.networking.Ingresses(namespace), "")
	}
	return t
}

func newTable[R runtime.Object, T keyed](w *Watcher, h *health, reduce func(R) T) *table[R, T] {
	w.watch(h)
	t := &table[R, T]{health: h, scope: h.namespace, objects: map[cache.ObjectName]T{}}
	t.reduce = func(full R) T {
		if w.judging {
			t.editions.note(w, h.kind, full)
		}
		return reduce(full)
	}
	w.stored = append(w.stored, t)
	return t
}

// watch makes the health of a watch known to the others and to the Translators.
func (w *Watcher) watch(h *health) {
	h.server = w.server
	w.server.watches = append(w.server.watches, h)
	h.settled = func() {
		for _, t := range w.translators {
			t.changed()
		}
		w.server.touch() // it may be all that was missing
	}
}

func start[L list, R runtime.Object, T keyed](w *Watcher, t *table[R, T], c client[L], selector string) {
	w.run = append(w.run, func(ctx context.Context) { t.run(ctx, listWatch(t.observe, t.keep, c, selector)) })
}

// Away returns for how long the API server has not answered any request, 0 while it does.
func (w *Watcher) Away() time.Duration { return w.server.away() }

// Trouble returns why the API server, or a kind that no zone can be answered without, cannot be read, "" if that
// is not known.
func (w *Watcher) Trouble() string {
	failure := w.server.trouble()
	for _, h := range w.server.watches {
		if failure == nil && !h.optional && !h.listed() {
			failure = h.trouble()
		}
	}
	if failure == nil {
		return ""
	}
	return failure.Text
}

// SourceStatus is the state of one kind's watch.
type SourceStatus struct {
	Kind      string    // "service", "endpointslice", "httproute" and so on
	Synced    bool      // its objects are known, in all namespaces that are watched
	LastEvent time.Time // when the API server last said anything about it, a bookmark included; zero for never
}

// Status returns the state of each kind that is watched, in no particular order. Kinds that
// the API server does not serve are left out.
func (w *Watcher) Status() []SourceStatus {
	byKind := map[string]*SourceStatus{}
	for _, h := range w.server.watches {
		if h.kind == "" || h.absent.Load() {
			continue
		}
		s := byKind[h.kind]
		if s == nil {
			s = &SourceStatus{Kind: h.kind, Synced: true}
			byKind[h.kind] = s
		}
		s.Synced = s.Synced && h.synced.Load()
		if ns := h.lastEvent.Load(); ns != 0 {
			if last := time.Unix(0, ns); last.After(s.LastEvent) {
				s.LastEvent = last
			}
		}
	}
	var statuses []SourceStatus
	for _, s := range byKind {
		statuses = append(statuses, *s)
	}
	return statuses
}
