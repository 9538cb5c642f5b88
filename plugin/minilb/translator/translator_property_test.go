package translator

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"pgregory.net/rapid"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// What the objects of a history are made of: little, so that they meet.
var (
	someZones      = []string{"minilb.", "lan.", "n.lan."}
	someNamespaces = []string{"n", "m"}
	someServices   = []string{"s", "t"}
	someHosts      = []string{
		"a.ex.org", "b.ex.org", "*.ex.org", "*.b.ex.org", "x.y.ex.org", "home.minilb", "h.n.minilb", "*.n.lan", "s.n.minilb",
		"e.s.n.minilb", "*.s.n.minilb", "*.10-0-0-1.s.n.minilb", "minilb.", "*.minilb", "bad_host", "10.0.0.1",
	}
	someTargets = []string{"s.n.minilb", "10.9.0.1", "t.m.lan", "a.ex.org", "b.ex.org", "lb.example.com", "127.0.0.1", "lb2.example.com"}
	someAddrs   = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "127.0.0.1"}
	someAddrs6  = []string{"fd00::1", "fd00::2", "fe80::1"}
	someLabels  = []string{"10-0-0-1", "10-0-0-2", "10-0-0-3", "fd00--1", "fd00--2", "db-0", "_tcp", "_http._tcp", "_idle._tcp", "_dns._udp", "_udp", "e", "q"}
)

// someNames are all names that could exist, those above them, and one below each.
var someNames = func() []string {
	names := map[string]bool{}
	add := func(name string) {
		names["q."+name] = true
		for ; name != ""; _, name, _ = strings.Cut(name, ".") {
			names[name] = true
		}
	}
	for _, host := range slices.Concat(someHosts, someTargets) {
		if name, err := hostname.Parse(host); err == nil {
			add(name)
		}
	}
	for _, zone := range someZones {
		for _, namespace := range someNamespaces {
			for _, service := range someServices {
				for _, label := range someLabels {
					add(label + "." + service + "." + namespace + "." + zone)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}()

// history is what became of a cluster's objects, of which a Translator was told bit by bit.
type history struct {
	*bench
	objects map[string]runtime.Object // as they are now, by kind and name
	check   func()                    // called after each change, if not nil
}

func one[T any](t *rapid.T, what string, of ...T) T { return rapid.SampledFrom(of).Draw(t, what) }

// some returns between least and most of those.
func some(t *rapid.T, what string, least, most int, of []string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(of), least, most).Draw(t, what)
}

// drawMeta draws what all objects have.
func drawMeta(t *rapid.T, names ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace: one(t, "namespace", someNamespaces...), Name: one(t, "name", names...),
		CreationTimestamp: metav1.Unix(rapid.Int64Range(1, 3).Draw(t, "created"), 0),
		Labels:            map[string]string{}, Annotations: map[string]string{},
	}
	if one(t, "ignored", 0, 0, 0, 0, 0, 1) == 1 { // M8
		m.Labels[lb.IgnoreLabel] = "true"
	}
	return m
}

func drawService(t *rapid.T) runtime.Object {
	obj := &corev1.Service{ObjectMeta: drawMeta(t, someServices...)}
	obj.Spec.Type = one(t, "type", corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP)
	if class := one(t, "class", lb.DefaultClass, lb.DefaultClass, lb.DefaultClass, lb.DefaultClass, lb.DefaultClass, "metallb", ""); class != "" {
		obj.Spec.LoadBalancerClass = &class
	}
	if hosts := some(t, "hosts", 0, 3, someHosts); hosts != nil {
		obj.Annotations[lb.HostAnnotation] = strings.Join(hosts, ",")
	}
	drawAnnotations(t, obj.Annotations, lb.TTLAnnotation, lb.WeightAnnotation, lb.PriorityAnnotation)
	for _, name := range some(t, "ports", 0, 2, []string{"http", "idle", ""}) {
		obj.Spec.Ports = append(obj.Spec.Ports, corev1.ServicePort{Name: name, Port: 80})
	}
	return obj
}

// drawAnnotations draws numbers, some of them malformed (L2, L3).
func drawAnnotations(t *rapid.T, annotations map[string]string, names ...string) {
	for _, name := range names {
		if value := one(t, name, "", "", "", "0", "1", "2", "many"); value != "" {
			annotations[name] = value
		}
	}
}

func drawIngress(t *rapid.T) runtime.Object {
	obj := &networkingv1.Ingress{ObjectMeta: drawMeta(t, "i", "j")}
	for _, host := range some(t, "hosts", 1, 2, someHosts) {
		obj.Spec.Rules = append(obj.Spec.Rules, networkingv1.IngressRule{Host: host})
	}
	if one(t, "annotated", 0, 0, 0, 1) == 1 { // M7
		obj.Annotations[lb.ServiceAnnotation] = one(t, "service", "s", "n/s", "m/t", "nope", "a b")
	}
	drawAnnotations(t, obj.Annotations, lb.TTLAnnotation)
	for _, target := range some(t, "targets", 0, 4, someTargets) {
		address := networkingv1.IngressLoadBalancerIngress{Hostname: target}
		if strings.Contains(target, ":") || strings.Trim(target, ".0123456789") == "" {
			address = networkingv1.IngressLoadBalancerIngress{IP: target}
		}
		obj.Status.LoadBalancer.Ingress = append(obj.Status.LoadBalancer.Ingress, address)
	}
	return obj
}

func drawSlice(t *rapid.T) runtime.Object {
	obj := &discoveryv1.EndpointSlice{ObjectMeta: drawMeta(t, "e", "f", "g"), AddressType: discoveryv1.AddressTypeIPv4}
	if service := one(t, "of", "s", "t", "s", "t", "nope", ""); service != "" { // E1
		obj.Labels[discoveryv1.LabelServiceName] = service
	}
	addrs := someAddrs
	switch one(t, "family", 4, 4, 6, 0) {
	case 6:
		obj.AddressType, addrs = discoveryv1.AddressTypeIPv6, someAddrs6
	case 0:
		obj.AddressType = discoveryv1.AddressTypeFQDN
	}
	for _, addr := range some(t, "addresses", 0, 3, addrs) {
		e := discoveryv1.Endpoint{Addresses: []string{addr}, Conditions: conditionsOf(one(t, "conditions", "RSt", "RSt", "rST", "rSt", "RSt", "---"))}
		if hostname := one(t, "hostname", "", "", "db-0", "10-0-0-1"); hostname != "" {
			e.Hostname = &hostname
		}
		if pod := one(t, "pod", "", "p", "q"); pod != "" {
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: pod}
		}
		obj.Endpoints = append(obj.Endpoints, e)
	}
	for _, name := range some(t, "ports", 0, 2, []string{"http", "dns", ""}) {
		protocol, number := corev1.ProtocolTCP, int32(8080)
		if name == "dns" {
			protocol = corev1.ProtocolUDP
		}
		obj.Ports = append(obj.Ports, discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: &protocol})
	}
	return obj
}

// identify returns the kind and name that objects are kept by.
func identify(obj runtime.Object) string {
	m, _ := obj.(metav1.ObjectMetaAccessor)
	return fmt.Sprintf("%T %s/%s", obj, m.GetObjectMeta().GetNamespace(), m.GetObjectMeta().GetName())
}

// store returns the table that a kind's reflector writes into.
func (b *bench) store(obj runtime.Object) cache.ReflectorStore {
	switch obj.(type) {
	case *corev1.Service:
		return b.services()
	case *discoveryv1.EndpointSlice:
		return b.watcher.EndpointSlices("")
	}
	return b.watcher.Ingresses("")
}

// set lets an object come or change. The API server hands out LoadBalancers alone.
func (h *history) set(t *rapid.T, obj runtime.Object) {
	if s, ok := obj.(*corev1.Service); ok && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		h.remove(identify(obj))
		return
	}
	h.objects[identify(obj)] = obj
	if err := h.store(obj).Update(obj); err != nil {
		t.Fatal(err)
	}
}

func (h *history) remove(id string) {
	if obj := h.objects[id]; obj != nil {
		delete(h.objects, id)
		h.store(obj).Delete(obj)
	}
}

func (h *history) ids() []string { return slices.Sorted(maps.Keys(h.objects)) }

// drawOptions draws how the objects are to be read.
func drawOptions(t *rapid.T) config.Options {
	options := config.Options{Zones: someZones, DefaultClass: rapid.Bool().Draw(t, "default class")}
	if rapid.Bool().Draw(t, "claim rules") { // C6
		options.Claims = []config.ClaimRule{{Suffix: "ex.org.", Namespaces: []string{"n"}}, {Suffix: "b.ex.org.", Namespaces: []string{"m"}}, {Suffix: "minilb."}}
	}
	return options
}

// actions are what may happen to the objects, in any order.
func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"service": func(t *rapid.T) { h.set(t, drawService(t)) },
		"slice":   func(t *rapid.T) { h.set(t, drawSlice(t)) },
		"ingress": func(t *rapid.T) { h.set(t, drawIngress(t)) },
		"delete": func(t *rapid.T) {
			if ids := h.ids(); len(ids) > 0 {
				h.remove(one(t, "id", ids...))
			}
		},
		"recreate": func(t *rapid.T) { // with the same name and another age
			ids := h.ids()
			if len(ids) == 0 {
				return
			}
			obj := h.objects[one(t, "id", ids...)].DeepCopyObject()
			if rapid.Bool().Draw(t, "seen") {
				h.remove(identify(obj))
				if h.check != nil {
					h.check()
				}
			}
			obj.(metav1.Object).SetCreationTimestamp(metav1.Unix(rapid.Int64Range(1, 5).Draw(t, "created"), 0))
			h.set(t, obj)
		},
		"relist": func(t *rapid.T) { // with some deleted unseen
			tables := []cache.ReflectorStore{h.services(), h.watcher.EndpointSlices(""), h.watcher.Ingresses("")}
			table := tables[one(t, "table", 0, 1, 2)]
			var list []any
			for _, id := range h.ids() {
				if obj := h.objects[id]; h.store(obj) == table {
					if one(t, "deleted", 0, 0, 0, 1) == 1 {
						delete(h.objects, id)
					} else {
						list = append(list, obj)
					}
				}
			}
			if err := table.Replace(list, ""); err != nil {
				t.Fatal(err)
			}
		},
		"publish": func(t *rapid.T) { // the run loop may be behind
			if h.pending() {
				h.publish()
			}
		},
	}
}

// live lets things happen, and check look at what has come of each.
func (h *history) live(t *rapid.T, steps int, check func()) {
	actions := h.actions()
	h.check = check
	for range steps { // a failure shrinks to deletions of nothing
		actions[one(t, "action", "delete", "service", "slice", "ingress", "service", "slice", "ingress", "slice", "ingress", "publish", "publish", "recreate", "relist")](t)
		check()
	}
}

// described returns what is answered at a name, in words.
func (b *bench) described(name string, metadata bool) string {
	result, node := b.index.Lookup(b.index.Zone(name), name)
	if node == nil {
		return fmt.Sprint(result)
	}
	var text string
	switch {
	case node.Target != "":
		text = "alias " + node.Target
	case node.Ports != nil:
		targets := node.Targets("", 0)
		slices.SortFunc(targets, func(a, b records.Target) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		text = fmt.Sprint("ports ", targets)
	default:
		text = fmt.Sprint("addresses ", node.Addrs.Load().V4, node.Addrs.Load().V6)
		if shares := node.Addrs.Load().Shares; shares != nil {
			for _, s := range slices.Concat(shares[0], shares[1]) {
				text += fmt.Sprint(", up to ", reflect.ValueOf(s).FieldByName("upTo").Uint(), s.Addrs.V4, s.Addrs.V6)
			}
		}
	}
	text += fmt.Sprint(", TTL ", node.TTLOr(9999))
	if metadata {
		text += fmt.Sprintf(" of %s %s/%s", node.Source, node.Namespace, node.Service)
	}
	return text
}

// C5: whatever way the objects came about, what is made of them is what a Translator makes
// that sees them for the first time.
func TestTranslatorHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		options := drawOptions(rt)
		h := &history{bench: newBench(t, options), objects: map[string]runtime.Object{}}
		h.tr.hooks.Covered = func(string) bool { // while claims are looked at
			if one(rt, "meanwhile", 0, 0, 0, 0, 1) == 1 {
				h.actions()[one(rt, "action", "delete", "service", "slice", "ingress", "recreate")](rt)
			}
			return true
		}
		if rapid.Bool().Draw(rt, "synced first") {
			h.sync()
		}
		h.live(rt, 150, func() {})
		if !h.tr.settled() {
			h.sync()
		}
		h.tr.hooks.Covered = func(string) bool { return true }
		for range 10 { // what addresses alone go through, once there is nothing else to do
			if h.pending() {
				h.publish()
			}
			h.set(rt, drawSlice(rt))
		}
		if h.pending() {
			h.publish()
		}

		scratch := newBench(t, options)
		for _, id := range rapid.Permutation(h.ids()).Draw(rt, "order") {
			if err := scratch.store(h.objects[id]).Update(h.objects[id]); err != nil {
				rt.Fatal(err)
			}
		}
		scratch.sync()
		for _, name := range someNames {
			if got, want := h.described(name, true), scratch.described(name, true); got != want {
				rt.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if got, want := h.tr.Stats(), scratch.tr.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Errorf("got the counts %v, want %v", got, want)
		}
		if got, want := h.watcher.reporter.reported, scratch.watcher.reporter.reported; !maps.Equal(got, want) {
			rt.Errorf("got the problems %v, want %v", got, want)
		}
		kept := func(b *bench) string {
			return fmt.Sprint(len(b.tr.services.state.exposed), len(b.tr.services.state.slicesOf), len(b.tr.claims), len(b.tr.services.state.slicesWithProblems), len(b.tr.services.state.unions), len(b.tr.unions), b.tr.services.state.states)
		}
		if got, want := kept(h.bench), kept(scratch); got != want {
			rt.Errorf("got %s things kept, want %s", got, want)
		}
	})
}

// D24: a zone's serial moves if the zone's content does, and only then.
func TestTranslatorHistorySerial(t *testing.T) {
	namesOf := map[string][]string{} // the names of each zone
	for _, name := range someNames {
		zone := (&config.Options{Zones: someZones}).Zone(name)
		namesOf[zone] = append(namesOf[zone], name)
	}
	content := func(b *bench, zone string) []string {
		var answers []string
		for _, name := range namesOf[zone] {
			answers = append(answers, b.described(name, false))
		}
		return answers
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{bench: newBench(t, drawOptions(rt)), objects: map[string]runtime.Object{}}
		h.sync()
		zones := append([]string{""}, someZones...)
		serials, contents := map[string]uint32{}, map[string][]string{}
		for _, zone := range zones {
			serials[zone], contents[zone] = h.index.Serial(zone), content(h.bench, zone)
		}
		h.live(rt, 60, func() {
			for _, zone := range zones {
				serial, now := h.index.Serial(zone), content(h.bench, zone)
				changed := !slices.Equal(now, contents[zone])
				if changed != (serial != serials[zone]) || serial < serials[zone] {
					rt.Errorf("zone %q: the content changes: %v; the serial goes from %d to %d", zone, changed, serials[zone], serial)
					for i, name := range namesOf[zone] {
						if now[i] != contents[zone][i] {
							rt.Logf("%s: %s becomes %s", name, contents[zone][i], now[i])
						}
					}
				}
				serials[zone], contents[zone] = serial, now
			}
		})
	})
}
