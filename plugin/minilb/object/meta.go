// Package object has the reduced forms of the API's objects: what is kept of each, and how it is read. They are
// immutable once they are in a store, and bounded whatever a tenant writes (C7c).
package object

import (
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Meta is the part of an object that all kinds share.
type Meta struct {
	Namespace, Name string `json:",omitzero"`
	Created         int64  `json:",omitzero"` // unix seconds, the resolution of creationTimestamp
	Ignored         bool   `json:",omitzero"` // it is to be taken for absent (M8)

	Labels      map[string]string `json:"-"` // nil without Fields.Annotations
	Annotations map[string]string `json:"-"` // likewise

	// What follows is empty without Fields.Identity.
	UID        types.UID `json:",omitzero"`
	Generation int64     `json:",omitzero"` // 0 of a Service, which has none
	Lint       []Problem `json:",omitzero"` // labels and annotations without effect
}

// newMeta returns the part of an object that can be read whatever else is wrong with it.
func newMeta(obj metav1.Object) Meta {
	return Meta{
		Namespace: intern(obj.GetNamespace()),
		Name:      obj.GetName(),
		Created:   obj.GetCreationTimestamp().Unix(),
		Ignored:   lb.Ignored(obj.GetLabels()),
	}
}

// Fields say what is kept of objects beyond what every reader needs.
type Fields struct {
	Classes         []string // loadBalancerClasses of the Services that are exposed, "" for those without one
	HostAnnotations []string // annotations that claim hosts (M9), in order
	Unexposed       bool     // Services that are not exposed keep their hosts, too
	HTTPS           bool     // how Services serve HTTPS (D50)
	Nodes           bool     // on which node each endpoint is
	Zones           bool     // in which zone
	Annotations     bool     // labels and annotations, for an inspection
	Identity        bool     // UID and generation of objects that claim hosts, and what is wrong with their labels and annotations
}

// identify adds what is known of an object with Fields.Identity. Notices are kept only of one that is ours.
func (m *Meta) identify(kind string, obj metav1.Object, f *Fields, ours bool) {
	if f != nil && f.Annotations {
		m.Labels, m.Annotations = obj.GetLabels(), obj.GetAnnotations()
	}
	if f == nil || !f.Identity {
		return
	}
	m.UID, m.Generation = obj.GetUID(), obj.GetGeneration()
	if m.Ignored {
		return
	}
	ref := m.Ref(kind)
	for _, s := range lb.Lint(kind, obj.GetLabels(), obj.GetAnnotations(), f.HostAnnotations) {
		reason := ReasonAnnotation
		if s.Notice {
			reason = ReasonNotice
		}
		if (ours || !s.Notice) && len(m.Lint) < maxLint {
			m.Lint = append(m.Lint, Problem{Ref: &ref, Reason: reason, Text: s.Text + ": " + s.Fix})
		}
	}
}

// intern returns the canonical copy of s, so that equal strings share memory.
func intern(s string) string { return unique.Make(s).Value() }

// Ref returns what names the object, of a kind, in claims and problems.
func (m *Meta) Ref(kind string) Ref {
	return Ref{Kind: kind, Namespace: m.Namespace, Name: m.Name, Created: m.Created, UID: m.UID, Generation: m.Generation}
}

// Key returns the name that stores have the object by.
func (m *Meta) Key() cache.ObjectName { return cache.NewObjectName(m.Namespace, m.Name) }

// Metadata returns the part of an object that all kinds share.
func (m *Meta) Metadata() *Meta { return m }
