// Package object has the reduced forms of the API's objects: what is kept of each, and how it is read. They are
// immutable once they are in a store, and bounded whatever a tenant writes (C7c).
package object

import (
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Meta is the part of an object that all kinds share.
type Meta struct {
	Namespace, Name string
	Created         int64 // unix seconds, the resolution of creationTimestamp
	Ignored         bool  // M8
}

func newMeta(obj *metav1.ObjectMeta) Meta {
	return Meta{
		Namespace: Intern(obj.Namespace),
		Name:      obj.Name,
		Created:   obj.CreationTimestamp.Unix(),
		Ignored:   lb.Ignored(obj.Labels),
	}
}

// Intern returns a string that many objects have, as one that those share which come between two
// garbage collections: few copies, where else each has its own.
func Intern(s string) string { return unique.Make(s).Value() }

// Ref returns what names the object, of a kind, in claims and problems.
func (m *Meta) Ref(kind string) Ref {
	return Ref{Kind: kind, Namespace: m.Namespace, Name: m.Name, Created: m.Created}
}

// Hidden reports whether the object is to be taken for absent (M8).
func (m *Meta) Hidden() bool { return m.Ignored }

// Key returns the name that stores have the object by.
func (m *Meta) Key() cache.ObjectName { return cache.NewObjectName(m.Namespace, m.Name) }

// GetObjectMeta implements the metav1.ObjectMetaAccessor interface.
func (m *Meta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}
}
