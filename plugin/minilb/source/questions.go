package source

import (
	"k8s.io/client-go/tools/cache"
)

// questions are what is asked of the exposed Services to find out where claims lead, with the
// answers: each stays the same until all is found out. Nothing else that becomes of the Services
// matters to claims, so that they are looked at again only if one that was asked for has come or
// gone, be it meanwhile.
type questions struct {
	find       func(cache.ObjectName) *exposedService
	populated  func(namespace string) bool
	exists     func(namespace string) bool // as far as Namespaces are read, each change of which is followed
	services   map[cache.ObjectName]*exposedService
	unmerged   map[cache.ObjectName]bool // those of them that are none until their addresses are merged
	namespaces map[string]bool
}

func newQuestions(find func(cache.ObjectName) *exposedService, populated, exists func(string) bool) *questions {
	return &questions{find, populated, exists, map[cache.ObjectName]*exposedService{}, map[cache.ObjectName]bool{}, map[string]bool{}}
}

// questions returns those of a Translator.
func (t *Translator) questions() *questions {
	var q *questions
	find := func(service cache.ObjectName) *exposedService {
		e, pending := t.services.find(service)
		if pending {
			q.unmerged[service] = true
		}
		return e
	}
	exists := func(namespace string) bool {
		return t.routes.NamespaceExists(namespace)
	}
	q = newQuestions(find, t.services.inNamespace, exists)
	return q
}

// Exposed, Pending, InNamespace and NamespaceExists implement claim.Services.
func (q *questions) Exposed(name cache.ObjectName) bool { return q.service(name) != nil }

func (q *questions) Pending(name cache.ObjectName) bool { return q.unmerged[name] }

func (q *questions) InNamespace(name string) bool { return q.namespace(name) }

func (q *questions) NamespaceExists(name string) bool { return q.exists(name) }

// service returns an exposed Service whose addresses are known, nil if it is none.
func (q *questions) service(name cache.ObjectName) *exposedService {
	e, known := q.services[name]
	if !known {
		e = q.find(name)
		q.services[name] = e
	}
	return e
}

// namespace reports whether there are exposed Services in a namespace.
func (q *questions) namespace(name string) bool {
	exists, known := q.namespaces[name]
	if !known {
		exists = q.populated(name)
		q.namespaces[name] = exists
	}
	return exists
}

// concern reports whether any of the questions was about one of the Services.
func (q *questions) concern(services map[cache.ObjectName]bool) bool {
	if q == nil {
		return true
	}
	for name := range services {
		_, asked := q.services[name]
		if _, around := q.namespaces[name.Namespace]; asked || around {
			return true
		}
	}
	return false
}
