package claim

import (
	"k8s.io/client-go/tools/cache"
)

// Services are the exposed Services and the namespaces that claims meet. What it returns must not change while
// claims are resolved.
type Services interface {
	Exposed(service cache.ObjectName) bool
	Pending(service cache.ObjectName) bool // exposed once its endpoints are known, which takes a moment
	InNamespace(namespace string) bool     // some are exposed there
	NamespaceExists(namespace string) bool // as far as Namespaces are read
}
