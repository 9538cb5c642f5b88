package claim

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// ResolvedTargets are the targets of a claim, before other hosts are followed.
type ResolvedTargets struct {
	Resolution          // addresses and Services
	Hosts      []string // names that may be other claimed hosts
	why        string   // why a target was dropped
	soon       bool     // a Service is pending, so that why is not reported
}

// leadsTo reports whether the Service is the only target.
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
	TTL      *uint16  // the smallest that a claim of the owner's namespace asks for, in seconds; nil for the server's (L2)
}

func (o Resolution) empty() bool { return len(o.Addrs)+len(o.Services)+len(o.External) == 0 }

func (o *Resolution) add(p Resolution) {
	o.Addrs, o.Services, o.External = join(o.Addrs, p.Addrs), join(o.Services, p.Services), join(o.External, p.External)
}

// join returns all of a and b. It shares the memory of b if a is nil, as most hosts have one claim.
func join[T any](a, b []T) []T {
	if a == nil && len(b) > 0 {
		return slices.Clip(b)
	}
	return append(a, b...)
}

// has reports whether p leads somewhere, and nowhere that o does not.
func (o *Resolution) has(p Resolution) bool {
	return !p.empty() && subset(p.Addrs, o.Addrs) && subset(p.Services, o.Services) && subset(p.External, o.External)
}

func subset[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// compact sorts and drops duplicates. What is sorted already may be shared.
func (o *Resolution) compact() {
	o.Addrs = compact(o.Addrs, netip.Addr.Compare)
	o.Services = compact(o.Services, object.CompareNames)
	o.External = compact(o.External, strings.Compare)
}

func compact[T comparable](all []T, compare func(a, b T) int) []T {
	if len(all) < 2 {
		return all
	}
	all = slices.Clone(all)
	slices.SortFunc(all, compare)
	return slices.Compact(all)
}
