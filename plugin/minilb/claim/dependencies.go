package claim

import "k8s.io/client-go/tools/cache"

// Services are the exposed Services and the namespaces, as far as claims depend on them. A Resolver keeps each answer until
// ServiceChanged or NamespaceChanged.
type Services interface {
	Exposed(service cache.ObjectName) bool
	Pending(service cache.ObjectName) bool // it will be exposed in a moment, once its endpoints are known
	InNamespace(namespace string) bool     // some are exposed there
	NamespaceExists(namespace string) bool // as far as Namespaces are read
}

// answer is what Services returned for a Service, or for a namespace, whose key has no name.
type answer struct {
	exposed, pending  bool // of a Service
	populated, exists bool // of a namespace
	dependents        map[dependent]bool
}

// dependent is an Entry or a target.
type dependent interface{ dependsOn(name cache.ObjectName) }

func (e *Entry) dependsOn(name cache.ObjectName) { e.deps = append(e.deps, name) }

func (t *target) dependsOn(name cache.ObjectName) { t.deps = append(t.deps, name) }

func (r *Resolver) ask(by dependent, name cache.ObjectName) *answer {
	a := r.answers[name]
	if a == nil {
		a = r.answered(name, map[dependent]bool{})
		r.answers[name] = a
	}
	if !a.dependents[by] {
		a.dependents[by] = true
		by.dependsOn(name)
	}
	return a
}

func (r *Resolver) answered(name cache.ObjectName, dependents map[dependent]bool) *answer {
	if name.Name == "" {
		populated, exists := r.services.InNamespace(name.Namespace), r.services.NamespaceExists(name.Namespace)
		return &answer{populated: populated, exists: exists, dependents: dependents}
	}
	exposed := r.services.Exposed(name)
	return &answer{exposed: exposed, pending: !exposed && r.services.Pending(name), dependents: dependents}
}

// forget drops a dependent, and the answers that nothing depends on any longer.
func (r *Resolver) forget(by dependent, asked []cache.ObjectName) {
	for _, name := range asked {
		a := r.answers[name]
		if delete(a.dependents, by); len(a.dependents) == 0 {
			delete(r.answers, name)
		}
	}
}

// ServiceChanged marks what depends on a Service that was exposed, unexposed or replaced.
func (r *Resolver) ServiceChanged(name cache.ObjectName) {
	r.affectedBy(name, true)
	r.NamespaceChanged(name.Namespace)
}

// NamespaceChanged marks what depends on a Namespace or on its Services.
func (r *Resolver) NamespaceChanged(name string) {
	r.affectedBy(cache.ObjectName{Namespace: name}, false)
}

// affectedBy marks what depends on an answer, if the answer differs from before, or always.
func (r *Resolver) affectedBy(name cache.ObjectName, always bool) {
	was := r.answers[name]
	if was == nil {
		return
	}
	is := r.answered(name, was.dependents)
	r.answers[name] = is
	if !always && is.populated == was.populated && is.exists == was.exists {
		return
	}
	for by := range is.dependents {
		switch by := by.(type) {
		case *Entry:
			r.dirtyEntries[by] = true
		case *target:
			r.dirtyTargets[by] = true
		}
	}
}

// exposed reports whether a target may lead to the Service.
func (r *Resolver) exposed(by dependent, service cache.ObjectName) bool {
	return !r.partial && r.ask(by, service).exposed
}

func (r *Resolver) pending(by dependent, service cache.ObjectName) bool {
	return !r.partial && r.ask(by, service).pending
}

func (r *Resolver) namespace(by dependent, name string) *answer {
	return r.ask(by, cache.ObjectName{Namespace: name})
}

// serviceAt returns the exposed Service whose name host is.
func (r *Resolver) serviceAt(by dependent, host string) (service cache.ObjectName, ok bool) {
	service, ok = r.options.ServiceAt(host)
	return service, ok && r.exposed(by, service)
}
