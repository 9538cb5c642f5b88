package claim

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// ResolvedTargets is what the targets of a claim are, before other hosts are followed.
type ResolvedTargets struct {
	Resolution          // addresses and Services
	Hosts      []string // names that may turn out to be other claimed hosts
	why        string   // why a target that was dropped leads nowhere
	soon       bool     // it leads to a Service in a moment, so that why is not reported
}

// leadsTo reports whether the targets are the Service and nothing else.
func (a *ResolvedTargets) leadsTo(service cache.ObjectName) bool {
	another := func(s cache.ObjectName) bool { return s != service }
	return len(a.Services) > 0 && !slices.ContainsFunc(a.Services, another) && len(a.Addrs)+len(a.Hosts) == 0
}

// Resolution is what a claim or a name leads to.
type Resolution struct {
	Winner   *object.Ref // the oldest owner of the claims that count
	Addrs    []netip.Addr
	Services []cache.ObjectName
	External []string // canonical names that are not ours
	NoTLS    bool     // no claim that counts is on a host that is served with TLS
}

func (o Resolution) empty() bool { return len(o.Addrs)+len(o.Services)+len(o.External) == 0 }

func (o *Resolution) add(p Resolution) {
	o.Addrs = append(o.Addrs, p.Addrs...)
	o.Services = append(o.Services, p.Services...)
	o.External = append(o.External, p.External...)
}

// Has reports whether all that p leads to, if it leads anywhere, is among what o does.
func (o *Resolution) Has(p Resolution) bool {
	return !p.empty() && subset(p.Addrs, o.Addrs) && subset(p.Services, o.Services) && subset(p.External, o.External)
}

// subset reports whether all of a are in b.
func subset[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// compact sorts and drops duplicates.
func (o *Resolution) compact() {
	slices.SortFunc(o.Addrs, netip.Addr.Compare)
	slices.SortFunc(o.Services, object.CompareNames)
	slices.Sort(o.External)
	o.Addrs, o.Services, o.External = slices.Compact(o.Addrs), slices.Compact(o.Services), slices.Compact(o.External)
}

// Result is what became of one host that an object claims, or of the object as a whole.
type Result struct {
	// Kind is "Service", "EndpointSlice", "Ingress" or one of the Gateway API. UID and Generation may
	// be those of a later version of the object, which is resolved in a moment. EndpointSlices and
	// GatewayClasses have none.
	Kind, Namespace, Name string
	UID                   types.UID
	Generation            int64 // 0 of a Service, which has none
	// Host is canonical, and a wildcard begins with "*."; empty if the result is about several or none,
	// or on what is no host name.
	Host string
	// Reason is one of package object, or empty if the claim counts.
	Reason object.Reason
	// Text is one line: what is wrong and what follows. A claim that counts may have one if it is not
	// answered exactly as requested.
	Text string
}
