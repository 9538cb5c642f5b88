package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/test/harness"
)

// objects are what the API server has of the kinds of the soak, by "namespace/name". A map is
// not changed once it is here, and neither is what is in it.
type objects struct {
	services  map[string]*corev1.Service
	slices    map[string]*discoveryv1.EndpointSlice
	ingresses map[string]*networkingv1.Ingress
	gateways  map[string]*gatewayv1.Gateway
	routes    map[string]*gatewayv1.HTTPRoute
}

// soakKind is how objects of a kind are listed and put among the others.
type soakKind struct {
	resource schema.GroupVersionResource
	put      func(*objects, map[string]*unstructured.Unstructured) error
}

var soakKinds = []soakKind{
	{schema.GroupVersionResource{Version: "v1", Resource: "services"}, put(func(o *objects) *map[string]*corev1.Service { return &o.services })},
	{schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}, put(func(o *objects) *map[string]*discoveryv1.EndpointSlice { return &o.slices })},
	{schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}, put(func(o *objects) *map[string]*networkingv1.Ingress { return &o.ingresses })},
	{schema.GroupVersionResource{Group: harness.GatewayGroup, Version: "v1", Resource: "gateways"}, put(func(o *objects) *map[string]*gatewayv1.Gateway { return &o.gateways })},
	{schema.GroupVersionResource{Group: harness.GatewayGroup, Version: "v1", Resource: "httproutes"}, put(func(o *objects) *map[string]*gatewayv1.HTTPRoute { return &o.routes })},
}

// put returns what changes the objects of a kind: those that are nil go.
func put[T any](of func(*objects) *map[string]*T) func(*objects, map[string]*unstructured.Unstructured) error {
	return func(all *objects, changed map[string]*unstructured.Unstructured) error {
		next := maps.Clone(*of(all))
		if next == nil {
			next = map[string]*T{}
		}
		for key, object := range changed {
			if delete(next, key); object == nil {
				continue
			}
			next[key] = new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, next[key]); err != nil {
				return fmt.Errorf("decode %s: %w", key, err)
			}
		}
		*of(all) = next
		return nil
	}
}

// listObjects returns what the API server has now.
func listObjects(ctx context.Context, client dynamic.Interface) (*objects, error) {
	all := &objects{}
	for _, kind := range soakKinds {
		list, err := client.Resource(kind.resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.resource.Resource, err)
		}
		if err := kind.put(all, byKey(list.Items)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func byKey(list []unstructured.Unstructured) map[string]*unstructured.Unstructured {
	keyed := map[string]*unstructured.Unstructured{}
	for i := range list {
		keyed[list[i].GetNamespace()+"/"+list[i].GetName()] = &list[i]
	}
	return keyed
}

// mirror follows the objects by watches of its own, and remembers what they were.
type mirror struct {
	client dynamic.Interface

	mu       sync.Mutex
	now      objects
	states   []*moment // oldest first
	history  []string  // what has changed, oldest first
	last     string    // what the latest change says, with the name of the Service that it is about
	watching map[string]bool
	changes  int
	broken   error // what makes the mirror useless
}

// moment is what the objects were from a time on.
type moment struct {
	from  time.Time
	model func() *oracle
}

// run follows until the context ends.
func (m *mirror) run(ctx context.Context) {
	m.watching = map[string]bool{}
	var running sync.WaitGroup
	for _, kind := range soakKinds {
		running.Go(func() {
			for ctx.Err() == nil {
				m.follow(ctx, kind)
				m.setWatching(kind, false)
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	running.Wait()
}

// follow lists and watches a kind until that fails.
func (m *mirror) follow(ctx context.Context, kind soakKind) {
	resource := m.client.Resource(kind.resource)
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	changed := byKey(list.Items)
	m.mu.Lock()
	for key := range m.keys(kind) {
		if changed[key] == nil {
			changed[key] = nil
		}
	}
	m.mu.Unlock()
	m.change(kind, changed)
	events, err := resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return
	}
	defer events.Stop()
	m.setWatching(kind, true)
	for event := range events.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			return
		}
		key := object.GetNamespace() + "/" + object.GetName()
		switch event.Type {
		case watch.Added, watch.Modified:
			m.change(kind, map[string]*unstructured.Unstructured{key: object})
		case watch.Deleted:
			m.change(kind, map[string]*unstructured.Unstructured{key: nil})
		default:
			return
		}
	}
}

func (m *mirror) setWatching(kind soakKind, watching bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watching[kind.resource.Resource] = watching
}

// complete reports whether all kinds are being watched.
func (m *mirror) complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, kind := range soakKinds {
		if !m.watching[kind.resource.Resource] {
			return false
		}
	}
	return true
}

// seen returns how many changes there have been, and when the latest was.
func (m *mirror) seen() (changes int, latest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.states) > 0 {
		latest = m.states[len(m.states)-1].from
	}
	return m.changes, latest
}

// versions returns the resourceVersion of each object.
func (o *objects) versions() map[string]string {
	versions := map[string]string{}
	add := func(kind string, object metav1.Object) {
		versions[kind+" "+object.GetNamespace()+"/"+object.GetName()] = object.GetResourceVersion()
	}
	for _, object := range o.services {
		add("services", object)
	}
	for _, object := range o.slices {
		add("endpointslices", object)
	}
	for _, object := range o.ingresses {
		add("ingresses", object)
	}
	for _, object := range o.gateways {
		add("gateways", object)
	}
	for _, object := range o.routes {
		add("httproutes", object)
	}
	return versions
}

func (m *mirror) keys(kind soakKind) map[string]bool {
	keys := map[string]bool{}
	for name := range m.now.versions() {
		if key, ok := strings.CutPrefix(name, kind.resource.Resource+" "); ok {
			keys[key] = true
		}
	}
	return keys
}

func (m *mirror) change(kind soakKind, changed map[string]*unstructured.Unstructured) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := kind.put(&m.now, changed); err != nil {
		m.broken = err
		return
	}
	all := m.now
	m.states = append(m.states, &moment{from: now, model: sync.OnceValue(func() *oracle { return newOracle(&all) })})
	m.changes += len(changed)
	for key, object := range changed {
		namespace, name, _ := strings.Cut(key, "/")
		service, _, _ := strings.Cut(name, "-") // of which a slice is named for its Service
		m.last = essence(object) + " " + service + "." + namespace + ".minilb"
		m.history = append(m.history, fmt.Sprintf("%s %s %s %s", now.Format("15:04:05.000"), kind.resource.Resource, key, essence(object)))
	}
	const remembered = 20_000
	m.history = m.history[max(0, len(m.history)-remembered):]
}

// essence writes what of an object makes a difference.
func essence(object *unstructured.Unstructured) string {
	if object == nil {
		return "is gone"
	}
	what := map[string]any{"created": object.GetCreationTimestamp().Format(time.TimeOnly)}
	for _, field := range [][]string{
		{"metadata", "labels"}, {"metadata", "annotations"}, {"spec", "type"}, {"spec", "loadBalancerClass"}, {"spec", "rules"}, {"status"},
		{"spec", "listeners"}, {"spec", "parentRefs"}, {"spec", "hostnames"}, {"endpoints"}, {"ports"},
	} {
		if value, found, _ := unstructured.NestedFieldNoCopy(object.Object, field...); found && value != nil {
			what[field[len(field)-1]] = value
		}
	}
	text, _ := json.Marshal(what)
	return string(text)
}

// between returns the states of a span of time, and forgets those before the time given.
func (m *mirror) between(from, to, forget time.Time) []*moment {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.states) > 1 && m.states[1].from.Before(forget) {
		m.states = m.states[1:]
	}
	first := 0
	for i, s := range m.states {
		if !s.from.After(from) {
			first = i
		}
	}
	last := first
	for last < len(m.states) && !m.states[last].from.After(to) {
		last++
	}
	return slices.Clone(m.states[first:last])
}

// latest returns the present state's model.
func (m *mirror) latest() *oracle {
	m.mu.Lock()
	s := m.states[len(m.states)-1]
	m.mu.Unlock()
	return s.model()
}

// touched returns those of the names that the latest change is about.
func (m *mirror) touched(names []string) (some []string) {
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	for _, name := range names {
		if strings.Contains(last, strings.ToLower(strings.TrimSuffix(name, "."))) {
			some = append(some, name)
		}
	}
	return some
}

// about returns what has happened of late to the objects that have to do with a name.
func (m *mirror) about(name string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	words := []string{`"` + host + `"`, host + ",", ", " + host, ".chain.test"} // which any host may lead to
	if labels := strings.Split(host, "."); len(labels) >= 3 && labels[len(labels)-1] == "minilb" {
		namespace, service := labels[len(labels)-2], labels[len(labels)-3]
		words = append(words, namespace+"/"+service)
	}
	var lines []string
	for _, line := range slices.Backward(m.history) {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
			if lines = append(lines, line); len(lines) == 16 {
				break
			}
		}
	}
	slices.Reverse(lines)
	return lines
}
