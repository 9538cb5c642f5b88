package source

import (
	"k8s.io/client-go/tools/cache"
)

// questions are what is asked of the exposed Services to find out where claims lead, with the
// answers: each stays the same until all is found out. Nothing else that becomes of the Services
// matters to claims, so that they are looked at again only if one that was asked for has come or
// gone, be it meanwhile.
type questions struct {
	find       func(cache.ObjectName) *exposure
	populated  func(namespace string) bool
	exists     func(namespace string) bool // as far as Namespaces are read, each change of which is followed
	services   map[cache.ObjectName]*exposure
	unmerged   map[cache.ObjectName]bool // those of them that are none until their addresses are merged
	namespaces map[string]bool
}

func newQuestions(find func(cache.ObjectName) *exposure, populated, exists func(string) bool) *questions {
	return &questions{find, populated, exists, map[cache.ObjectName]*exposure{}, map[cache.ObjectName]bool{}, map[string]bool{}}
}

// questions returns those that are asked without the lock held.
func (t *Translator) questions() *questions {
	var q *questions
	find := func(service cache.ObjectName) *exposure {
		t.mu.Lock()
		defer t.mu.Unlock()
		e := t.find(service)
		if e != nil && !e.merged { // its hosts would have no addresses, for a moment
			q.unmerged[service] = true
			return nil
		}
		return e
	}
	populated := func(namespace string) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.namespaces[namespace] > 0
	}
	exists := func(namespace string) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.attached.namespaces[namespace] != nil
	}
	q = newQuestions(find, populated, exists)
	return q
}

// service returns an exposed Service whose addresses are known, nil if it is none.
func (q *questions) service(name cache.ObjectName) *exposure {
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
