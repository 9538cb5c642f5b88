package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// discoveryInterval is how often the API server is asked at least what it serves of the
// Gateway API: a jitter of half of that is added (G5). It is a variable for tests, which set
// it when they link.
var discoveryInterval = "30s"

const (
	// confirmation is how long a kind must be gone to be taken for it, and how long to wait
	// after an attempt that failed.
	confirmation = 2 * time.Second
	// reaction is the pause between two looks that watches ask for.
	reaction = time.Second
)

// resources are what the kinds are called in requests.
var resources = map[string]string{
	object.KindGateway:      "gateways",
	object.KindGatewayClass: "gatewayclasses",
	object.KindListenerSet:  "listenersets",
	object.KindXListenerSet: "xlistenersets",
	object.KindHTTPRoute:    "httproutes",
	object.KindGRPCRoute:    "grpcroutes",
	object.KindTLSRoute:     "tlsroutes",
}

// versions returns where a kind may be served, the preferred version first (G3).
func versions(group, kind string, names ...string) []schema.GroupVersionResource {
	var all []schema.GroupVersionResource
	for _, name := range names {
		all = append(all, schema.GroupVersionResource{Group: group, Version: name, Resource: resources[kind]})
	}
	return all
}

var (
	gatewayVersions      = versions(object.GatewayGroup, object.KindGateway, "v1", "v1beta1")
	gatewayClassVersions = versions(object.GatewayGroup, object.KindGatewayClass, "v1", "v1beta1")
	listenerSetVersions  = map[string][]schema.GroupVersionResource{ // two kinds: clusters have both (G3)
		object.KindListenerSet:  versions(object.GatewayGroup, object.KindListenerSet, "v1"),
		object.KindXListenerSet: versions(object.GatewayXGroup, object.KindXListenerSet, "v1alpha1"),
	}
	routeVersions = map[string][]schema.GroupVersionResource{
		object.KindHTTPRoute: versions(object.GatewayGroup, object.KindHTTPRoute, "v1", "v1beta1"),
		object.KindGRPCRoute: versions(object.GatewayGroup, object.KindGRPCRoute, "v1", "v1alpha2"),
		object.KindTLSRoute:  versions(object.GatewayGroup, object.KindTLSRoute, "v1", "v1alpha3", "v1alpha2"),
	}
)

// gatewayAPI keeps the tables of the kinds that the Gateway API has in the cluster, whichever
// they are at present.
type gatewayAPI struct {
	watcher  *Watcher
	dynamic  dynamic.Interface
	discover func(context.Context) (offer, error)
	health   *health // of discovery: what the API server serves
	interval time.Duration
	poked    chan struct{} // holds a token when a watch found its kind gone, or had to list anew

	tables     []follower // all of those below, which are by namespace
	classes    map[string]*custom[*object.GatewayClass]
	namespaces map[string]*versioned[*corev1.Namespace, *object.Namespace]
	gateways   map[string]*custom[*object.Gateway]
	sets       map[string]map[string]*custom[*object.ListenerSet] // by kind
	routes     map[string]map[string]*custom[*object.Route]       // by kind
}

// follower is a versioned table of any type.
type follower interface {
	offer(offer)
	follow(context.Context, offer) bool
	loses(offer) bool
	version() string
	state() *health
	drop()
	wait()
}

func newGatewayAPI(w *Watcher, client dynamic.Interface) (*gatewayAPI, error) {
	interval, err := time.ParseDuration(discoveryInterval)
	if err != nil {
		return nil, fmt.Errorf("discovery interval: %w", err)
	}
	g := &gatewayAPI{
		watcher:    w,
		dynamic:    client,
		discover:   func(ctx context.Context) (offer, error) { return discover(ctx, w.core.RESTClient()) },
		interval:   interval,
		poked:      make(chan struct{}, 1),
		health:     &health{resource: "/apis/" + object.GatewayGroup, verbs: "get", optional: true},
		classes:    map[string]*custom[*object.GatewayClass]{},
		namespaces: map[string]*versioned[*corev1.Namespace, *object.Namespace]{},
		gateways:   map[string]*custom[*object.Gateway]{},
		sets:       map[string]map[string]*custom[*object.ListenerSet]{object.KindListenerSet: {}, object.KindXListenerSet: {}},
		routes:     map[string]map[string]*custom[*object.Route]{object.KindHTTPRoute: {}, object.KindGRPCRoute: {}, object.KindTLSRoute: {}},
	}
	g.health.gone = func() {} // a version of the group may go between two requests: the next look tells
	w.server.doubted = g.poke
	return g, nil
}

// add lets a Translator read the tables it needs in one of its namespaces, "" for all.
func (g *gatewayAPI) add(t *Translator, namespace string) {
	if g.tables == nil {
		g.watcher.watch(g.health)
		g.watcher.run = append(g.watcher.run, g.run)
	}
	t.await(g.health)
	subscribe(t, kept(g.classes, "", g.classTable), t.onGatewayClass)
	subscribe(t, kept(g.namespaces, namespace, g.namespaceTable), t.onNamespace)
	subscribe(t, kept(g.gateways, namespace, g.gatewayTable), t.onGateway)
	for _, kind := range []string{object.KindListenerSet, object.KindXListenerSet} {
		subscribe(t, kept(g.sets[kind], namespace, g.listenerSetTable(kind)), t.onListenerSet)
	}
	for _, kind := range []string{object.KindHTTPRoute, object.KindGRPCRoute, object.KindTLSRoute} {
		subscribe(t, kept(g.routes[kind], namespace, g.routeTable(kind)), t.onRoute)
	}
}

// kept returns the table of a namespace, which is made for the first that asks.
func kept[T any](tables map[string]T, namespace string, make func(string) T) T {
	table, made := tables[namespace]
	if !made {
		table = make(namespace)
		tables[namespace] = table
	}
	return table
}

func (g *gatewayAPI) gatewayTable(namespace string) *custom[*object.Gateway] {
	return newCustom(g, object.KindGateway, namespace, object.NewGateway, firstOf(gatewayVersions))
}

func (g *gatewayAPI) classTable(string) *custom[*object.GatewayClass] {
	return newCustom(g, object.KindGatewayClass, "", object.NewGatewayClass, firstOf(gatewayClassVersions))
}

func (g *gatewayAPI) routeTable(kind string) func(namespace string) *custom[*object.Route] {
	return func(namespace string) *custom[*object.Route] {
		return newCustom(g, kind, namespace, object.NewRoute(kind), firstOf(routeVersions[kind]))
	}
}

func (g *gatewayAPI) listenerSetTable(kind string) func(namespace string) *custom[*object.ListenerSet] {
	return func(namespace string) *custom[*object.ListenerSet] {
		return newCustom(g, kind, namespace, object.NewListenerSet(kind), firstOf(listenerSetVersions[kind]))
	}
}

// namespaceTable makes the table of Namespaces: all of them, or one by its name. Gateways select them by
// their labels (G16), and nobody else may claim their names in a zone (C7).
func (g *gatewayAPI) namespaceTable(name string) *versioned[*corev1.Namespace, *object.Namespace] {
	resource, selector := "namespaces", ""
	if name != metav1.NamespaceAll {
		resource, selector = fmt.Sprintf("namespaces %q", name), metav1.ObjectNameField+"="+name
	}
	var needed atomic.Bool // whether there may be Gateways
	v := &versioned[*corev1.Namespace, *object.Namespace]{
		table: newTable(g.watcher, &health{kind: "namespace", resource: resource}, func(full *corev1.Namespace) *object.Namespace { return object.NewNamespace(full, nil) }),
		choose: func(o offer) schema.GroupVersionResource {
			needed.Store(!o.first(gatewayVersions).Empty())
			return corev1.SchemeGroupVersion.WithResource("namespaces")
		},
	}
	v.scope = name
	v.open = func(_ schema.GroupVersionResource, observe func(context.Context, error)) cache.ListerWatcher {
		return listWatch(func(ctx context.Context, err error) {
			missing := (apierrors.IsForbidden(err) || apierrors.IsNotFound(err)) && !needed.Load()
			v.absent.Store(missing)
			if missing {
				v.settled() // nobody's hosts depend on it
				g.tellOpen(v.health, err)
			} else {
				observe(ctx, err)
			}
		}, v.keep, g.watcher.core.Namespaces(), selector)
	}
	g.adopt(v)
	return v
}

// openNames is what follows if Namespaces cannot be read.
const openNames = "; as long as it is, others may claim the name of a namespace in a zone"

// tellOpen logs once that Namespaces cannot be read, if any zone has names of theirs (C7).
func (g *gatewayAPI) tellOpen(h *health, err error) {
	named := func(t *Translator) bool { return t.options.Gateways && t.options.Services && len(t.options.Zones) > 0 }
	failure := kube.Classify("list and watch", h.what(), err)
	if lasting := h.fails(failure.Kind); failure.Kind == kube.Forbidden && lasting >= grace && slices.ContainsFunc(g.watcher.translators, named) {
		failure.Text += openNames
		h.report(failure)
	}
}

// custom is the table of a kind that a CustomResourceDefinition brings.
type custom[T keyed] = versioned[*unstructured.Unstructured, T]

func newCustom[T keyed](g *gatewayAPI, kind, namespace string, reduce func(*unstructured.Unstructured, *object.Fields) T, choose func(offer) schema.GroupVersionResource) *custom[T] {
	group := object.GatewayGroup
	if kind == object.KindXListenerSet {
		group = object.GatewayXGroup
	}
	h := &health{kind: strings.ToLower(kind), resource: resources[kind], group: group, namespace: namespace}
	v := &custom[T]{table: newTable(g.watcher, h, func(full *unstructured.Unstructured) T { return reduce(full, &g.watcher.CodecFields) }), choose: choose, expected: &unstructured.Unstructured{}}
	v.open = func(version schema.GroupVersionResource, observe func(context.Context, error)) cache.ListerWatcher {
		return listWatch(observe, v.keep, g.dynamic.Resource(version).Namespace(namespace), "")
	}
	g.adopt(v)
	return v
}

// adopt lets a table follow what is served. Until that is known, it is taken to be absent.
func (g *gatewayAPI) adopt(f follower) {
	h := f.state()
	h.optional, h.gone = true, g.poke
	h.absent.Store(true)
	g.tables = append(g.tables, f)
}

// poke makes the API server be asked soon.
func (g *gatewayAPI) poke() {
	select {
	case g.poked <- struct{}{}:
	default:
	}
}

// run follows what the API server serves until the context is cancelled, and returns when
// nothing of it is left. An answer that cannot be had changes nothing (G5).
func (g *gatewayAPI) run(ctx context.Context) {
	defer func() {
		for _, table := range g.tables {
			table.wait()
		}
	}()
	var before offer // the answer before, if it lacked something that is read
	for {
		offered, err := g.discover(ctx)
		g.health.observe(ctx, err)
		pause := g.interval + rand.N(g.interval/2+1)
		switch {
		case err != nil:
			if !g.health.refused.Load() {
				pause = min(pause, confirmation)
			} else if g.health.restored.Load() {
				g.drop()
			}
		default:
			// What is missed for the first time stays: an API server that has just started may not know yet.
			var doubted []follower
			for _, t := range g.tables {
				if t.loses(offered) && (before == nil || !t.loses(before)) {
					doubted = append(doubted, t)
				}
			}
			if len(doubted) == 0 || g.health.synced.Load() {
				g.follow(ctx, offered, doubted)
			}
			before = nil
			if len(doubted) > 0 {
				before = offered
				pause = min(pause, confirmation)
			}
		}
		if !g.sleep(ctx, pause) {
			return
		}
	}
}

// sleep waits until it is time to look again, and reports whether the context still lasts.
func (g *gatewayAPI) sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	poked := g.poked
	if pause <= confirmation {
		poked = nil // it is soon anyway
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-poked:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(reaction):
		return true
	}
}

// drop takes out what was restored, when the API server refuses to say what it serves.
func (g *gatewayAPI) drop() {
	for _, table := range g.tables {
		table.drop()
	}
	g.health.unrestore()
	g.health.settled()
}

// follow brings all tables in line with what is served, but for the doubted ones.
func (g *gatewayAPI) follow(ctx context.Context, offered offer, doubted []follower) {
	first := !g.health.synced.Load()
	for _, table := range g.tables {
		if slices.Contains(doubted, table) {
			continue
		}
		before, h := table.version(), table.state()
		if !first && before == "" {
			h.late.Store(true) // G7: what comes now is not waited for
		}
		if table.follow(ctx, offered) && !first && h.group != "" {
			report(h, before, table.version())
		}
	}
	if !first {
		return
	}
	var kinds []string
	for _, table := range g.tables {
		if version, h := table.version(), table.state(); version != "" && h.group != "" && !slices.Contains(kinds, h.resource+" "+version) {
			kinds = append(kinds, h.resource+" "+version)
		}
	}
	if kinds == nil {
		g.health.server.log.Infof("The API server does not serve the Gateway API: its routes have names once it does")
	} else {
		g.health.server.log.Infof("Reading the Gateway API: %s", strings.Join(kinds, ", "))
	}
	g.health.setSynced()
	g.health.settled()
}

// report logs what has become of a kind since the last look.
func report(h *health, before, after string) {
	switch {
	case before == "":
		h.server.log.Infof("%s: served from now on, as %s", h.what(), after)
	case after == "":
		h.server.log.Infof("%s: no longer served; what they named is gone", h.what())
	default:
		h.server.log.Infof("%s: now read as %s instead of %s", h.what(), after, before)
	}
}
