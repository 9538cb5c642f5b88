package source

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// edition is what tells one form of an object from others, and what is to be said of its
// labels and annotations.
type edition struct {
	uid        types.UID
	generation int64
	slips      []slip
}

// slip is what is to be said of a label or annotation.
type slip struct {
	reason object.Reason
	text   string
}

// editions are those of a table's objects, if some Translator has its claims judged: apart from the
// objects, which nobody else needs to be larger for it.
type editions struct {
	mu     sync.Mutex
	byName map[cache.ObjectName]edition
}

// judgedKinds are those whose annotations we read, by how their tables call them.
var judgedKinds = map[string]string{
	"service": "Service", "ingress": "Ingress", "gateway": object.KindGateway, "listenerset": object.KindListenerSet, "xlistenerset": object.KindXListenerSet,
	"httproute": object.KindHTTPRoute, "grpcroute": object.KindGRPCRoute, "tlsroute": object.KindTLSRoute,
}

// note takes in an object as the API server has it, on its way into a table of this kind. A new
// edition is judged, whatever it is that has changed.
func (e *editions) note(w *Watcher, kind string, full any) {
	obj, ok := full.(metav1.Object)
	if !ok || judgedKinds[kind] == "" {
		return
	}
	is := edition{uid: obj.GetUID(), generation: obj.GetGeneration()}
	if !lb.Ignored(obj.GetLabels()) {
		slips := slices.DeleteFunc(lb.Lint(judgedKinds[kind], obj.GetLabels(), obj.GetAnnotations(), w.CodecFields.HostAnnotations), func(s lb.LintWarning) bool { return s.Notice && !w.concerns(full) })
		for _, s := range slips[:min(object.MaxLines, len(slips))] {
			reason := object.ReasonAnnotation
			if s.Notice {
				reason = object.ReasonNotice
			}
			is.slips = append(is.slips, slip{reason, s.Text + ": " + s.Fix})
		}
	}
	name := cache.NewObjectName(object.Intern(obj.GetNamespace()), obj.GetName())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byName == nil {
		e.byName = map[cache.ObjectName]edition{}
	}
	if was, known := e.byName[name]; known && was.uid == is.uid && was.generation == is.generation && slices.Equal(was.slips, is.slips) {
		return
	}
	e.byName[name] = is
	for _, t := range w.translators {
		if t.hooks.OnResolved != nil {
			t.changed()
		}
	}
}

// concerns reports whether an object is no Service, or one that some Translator exposes.
func (w *Watcher) concerns(full any) bool {
	obj, isService := full.(*corev1.Service)
	return !isService || slices.ContainsFunc(w.translators, func(t *Translator) bool { return lb.IsOurs(&obj.Spec, t.options.Class, t.options.DefaultClass) })
}

// forget drops the edition of an object that is gone.
func (e *editions) forget(name cache.ObjectName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byName, name)
}

// keep drops the editions of objects that are not among those of a whole list: some were on their
// way into the table when a list broke off.
func (e *editions) keep(listed map[cache.ObjectName]struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.byName, func(name cache.ObjectName, _ edition) bool {
		_, there := listed[name]
		return !there
	})
}

// edition returns that of an object, and whether it is in the table.
func (t *table[R, T]) edition(kind, namespace, name string) (is edition, there bool) {
	if !strings.EqualFold(kind, t.kind) {
		return edition{}, false
	}
	t.editions.mu.Lock()
	defer t.editions.mu.Unlock()
	is, there = t.editions.byName[cache.NewObjectName(namespace, name)]
	return is, there
}

// There reports whether the object with the UID is among those whose claims are judged: not if it is gone, nor if
// nothing is known of its kind.
func (w *Watcher) There(kind, namespace, name string, uid types.UID) bool {
	return slices.ContainsFunc(w.stored, func(of stored) bool {
		is, there := of.edition(kind, namespace, name)
		return there && is.uid == uid
	})
}

// slips yields the verdicts on labels and annotations of the table's objects.
func (t *table[R, T]) slips() iter.Seq[claim.Result] {
	t.editions.mu.Lock()
	defer t.editions.mu.Unlock()
	var all []claim.Result // or whoever takes his time with them would hold up the watch
	for name, is := range t.editions.byName {
		for _, s := range is.slips {
			all = append(all, claim.Result{
				Kind: judgedKinds[t.kind], Namespace: name.Namespace, Name: name.Name, UID: is.uid, Generation: is.generation,
				Reason: s.reason, Text: s.text,
			})
		}
	}
	return slices.Values(all)
}
