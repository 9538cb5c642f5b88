package source

import "strings"

// owner is the object behind a claim.
type owner struct {
	kind            string // "Service", "Ingress" or that of a route
	namespace, name string
	created         int64 // unix seconds
}

func (o *owner) String() string { return kindName{o.kind, o.namespace, o.name}.String() }

// older orders claims by authority: the older object first, then namespace/name, then the
// kind: routes, Ingress, Service (C2).
func (o *owner) older(p *owner) int {
	switch {
	case o.created != p.created:
		if o.created < p.created {
			return -1
		}
		return 1
	case o.namespace != p.namespace || o.name != p.name:
		return strings.Compare(o.namespace+"/"+o.name, p.namespace+"/"+p.name)
	}
	return kindRank[o.kind] - kindRank[p.kind]
}

// kindRank orders the kinds of the claims of one second and one name (C2).
var kindRank = map[string]int{httpRoute: 1, grpcRoute: 2, tlsRoute: 3, "Ingress": 4, "Service": 5}
