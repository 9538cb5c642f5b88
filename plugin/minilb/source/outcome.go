package source

import (
	"net/netip"
	"slices"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// aim is what the targets of a claim are, before other hosts are followed.
type aim struct {
	outcome          // addresses and Services
	hosts   []string // names that may turn out to be other claimed hosts
	why     string   // why a target that was dropped leads nowhere
	soon    bool     // whether it leads to a Service in a moment, so that why needs no saying
}

// leadsTo reports whether the targets are the Service and nothing else.
func (a *aim) leadsTo(service cache.ObjectName) bool {
	another := func(s cache.ObjectName) bool { return s != service }
	return len(a.services) > 0 && !slices.ContainsFunc(a.services, another) && len(a.addrs)+len(a.hosts) == 0
}

// outcome is what a claim or a name leads to.
type outcome struct {
	winner   *object.Ref // the oldest owner of the claims that count
	addrs    []netip.Addr
	services []cache.ObjectName
	external []string // canonical names that are not ours
	plain    bool     // no claim that counts is on a host that is served with TLS
}

func (o outcome) empty() bool { return len(o.addrs)+len(o.services)+len(o.external) == 0 }

func (o *outcome) add(p outcome) {
	o.addrs = append(o.addrs, p.addrs...)
	o.services = append(o.services, p.services...)
	o.external = append(o.external, p.external...)
}

// has reports whether all that p leads to, if it leads anywhere, is among what o does.
func (o *outcome) Has(p outcome) bool {
	return !p.empty() && subset(p.addrs, o.addrs) && subset(p.services, o.services) && subset(p.external, o.external)
}

// subset reports whether all of a are in b.
func subset[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// compact sorts and drops duplicates.
func (o *outcome) compact() {
	slices.SortFunc(o.addrs, netip.Addr.Compare)
	slices.SortFunc(o.services, byName)
	slices.Sort(o.external)
	o.addrs, o.services, o.external = slices.Compact(o.addrs), slices.Compact(o.services), slices.Compact(o.external)
}
