package claim

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// resolvedTargets is what the targets of a claim are, before other hosts are followed.
type resolvedTargets struct {
	Resolution          // addresses and Services
	Hosts      []string // names that may turn out to be other claimed hosts
	why        string   // why a target that was dropped leads nowhere
	soon       bool     // whether it leads to a Service in a moment, so that why needs no saying
}

// leadsTo reports whether the targets are the Service and nothing else.
func (a *resolvedTargets) leadsTo(service cache.ObjectName) bool {
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

// CountRejected adds up problems by their reasons.
func CountRejected(rejected map[string]int, problems []object.Problem) {
	for _, p := range problems {
		if p.Reason != "" && p.Reason != object.ReasonNotice {
			rejected[p.Reason.Counted()] += max(1, p.Hosts)
		}
	}
}

// Result is what became of one host that an object claims, or of the object as a whole.
type Result struct {
	// Kind is "Service", "EndpointSlice", "Ingress" or one of the Gateway API. The UID and the
	// generation are those of the form of the object that was judged, or of a later one, which is
	// judged in a moment. They are not known of EndpointSlices and GatewayClasses.
	Kind, Namespace, Name string
	UID                   types.UID
	Generation            int64 // 0 of a Service, which has none
	// Host is canonical, and a wildcard begins with "*."; empty if the verdict is on several or none,
	// or on what is no host name.
	Host string
	// Reason is one of those below, or empty if the claim counts.
	Reason object.Reason
	// Text says in one line what is wrong and what follows. It may be there for a claim that counts,
	// too, which is not answered quite as asked.
	Text string
}
