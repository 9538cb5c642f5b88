package object

// Fields say what is kept of objects beyond what every reader needs.
type Fields struct {
	Classes         []string // loadBalancerClasses of the Services that are exposed, "" for those without one
	HostAnnotations []string // annotations that claim hosts (M9), in order
	Unexposed       bool     // Services that are not exposed keep their hosts, too
	HTTPS           bool     // how Services serve HTTPS (D50)
	Nodes           bool     // on which node each endpoint is
	Annotations     bool     // labels and annotations, for an inspection
	Identity        bool     // UID and generation of objects that claim hosts, and what is wrong with their labels and annotations
}
