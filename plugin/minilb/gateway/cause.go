package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Cause is why a route is not attached to one of its parents, for programs (G20b).
type Cause string

// The values of a Cause.
const (
	CauseOtherKind    Cause = "OtherKind"         // a parent of a kind that is not ours to read: a Service of a mesh, for one (G10)
	CauseOtherClass   Cause = "OtherClass"        // its GatewayClass is not among gateway_classes
	CauseUnknownKind  Cause = "UnknownKind"       // a kind or group that looks misspelt
	CauseAbsent       Cause = "Absent"            // there is no such object
	CauseUnserved     Cause = "Unserved"          // the API server does not serve the kind
	CauseUnavailable  Cause = "Unread"            // the API server does not let us read the kind, or fails to
	CauseOutside      Cause = "OutsideNamespaces" // it is not in one of the namespaces that are read
	CauseIgnored      Cause = "Ignored"           // by its label (M8)
	CauseMalformed    Cause = "Malformed"         // it is not as its kind should be
	CauseNotLetIn     Cause = "NotLetIn"          // the Gateway does not take the ListenerSet (G51)
	CauseNoStatus     Cause = "NoStatus"          // no controller has an entry for it in the route's status
	CauseOtherStatus  Cause = "OtherStatus"       // entries of other sections or ports alone
	CauseOtherControl Cause = "OtherController"   // entries of other controllers than the GatewayClass' alone (G21)
	CauseRefused      Cause = "Refused"           // by its controller
	CausePending      Cause = "Pending"           // its controller has not decided
	CauseNoListener   Cause = "NoListener"        // none has the name or port (G11)
	CauseNotTaken     Cause = "NotTaken"          // the listener takes no such route (G13–G18)
	CauseOtherHosts   Cause = "OtherHosts"        // the listeners have other hostnames (G30)
)

// Causes lists all of them.
var Causes = []Cause{
	CauseOtherKind, CauseOtherClass, CauseUnknownKind, CauseAbsent, CauseUnserved, CauseUnavailable, CauseOutside, CauseIgnored, CauseMalformed, CauseNotLetIn,
	CauseNoStatus, CauseOtherStatus, CauseOtherControl, CauseRefused, CausePending, CauseNoListener, CauseNotTaken, CauseOtherHosts,
}

// obstacle is what keeps a route from one of its parents.
type obstacle struct {
	cause Cause
	text  string
}

func obstruct(cause Cause, format string, args ...any) *obstacle {
	return &obstacle{cause, fmt.Sprintf(format, args...)}
}

// notOurs reports whether the parent is not meant for us: nothing is wrong then.
func (o *obstacle) notOurs() bool { return o.cause == CauseOtherKind || o.cause == CauseOtherClass }

// unknownKind returns why a kind of parent is not read: it is another's, or misspelt.
func unknownKind(name object.KindName) *obstacle {
	group, kind, qualified := strings.Cut(name.Kind, "/")
	if !qualified {
		group, kind = object.GatewayGroup, name.Kind
	}
	switch {
	case kind == object.KindGateway, kind == object.KindListenerSet, kind == object.KindXListenerSet: // of another group
	case group != object.GatewayGroup && group != object.GatewayXGroup && !lb.LikelyTypo(group, object.GatewayGroup),
		strings.HasSuffix(kind, "Route"), strings.HasSuffix(kind, "Mesh"): // some implementations have routes below routes
		return obstruct(CauseOtherKind, "it is no Gateway or ListenerSet")
	}
	return obstruct(CauseUnknownKind, "its parentRef has kind %q of group %q, want Gateway or ListenerSet of %s, or XListenerSet of %s",
		printable.Shorten(kind), printable.Shorten(group), object.GatewayGroup, object.GatewayXGroup)
}

// missing returns why nothing is known of an object.
func (rs *Routes) missing(name object.KindName) *obstacle {
	if namespaces := rs.options.Namespaces; name.Namespace != "" && len(namespaces) > 0 && !slices.Contains(namespaces, name.Namespace) {
		return obstruct(CauseOutside, "%s lies outside of the namespaces that are read", name)
	}
	switch cause := rs.unknown(strings.ToLower(name.Kind), name.Namespace); {
	case cause == CauseUnserved:
		return obstruct(cause, "%s does not exist: the API server does not serve its kind", name)
	case cause != "":
		return obstruct(cause, "%s cannot be read", name)
	case rs.ignored[name]:
		return obstruct(CauseIgnored, "%s has label %s, which makes it absent", name, lb.IgnoreLabels)
	}
	return obstruct(CauseAbsent, "%s does not exist", name)
}
