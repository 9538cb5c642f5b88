package object

import (
	"cmp"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// Ref is the object behind a claim.
type Ref struct {
	Kind            string    `json:",omitzero"` // "Service", "Ingress" or that of a route
	Namespace, Name string    `json:",omitzero"`
	Created         int64     `json:",omitzero"` // unix seconds
	UID             types.UID `json:",omitzero"` // as is the generation, empty without Fields.Identity, of EndpointSlices and of GatewayClasses
	Generation      int64     `json:",omitzero"`
}

func (o *Ref) String() string { return KindName{o.Kind, o.Namespace, o.Name}.String() }

// Older orders claims by authority: the older object first, then namespace/name, then the
// kind: routes, Ingress, Service (C2).
func (o *Ref) Older(p *Ref) int {
	switch {
	case o.Created != p.Created:
		return cmp.Compare(o.Created, p.Created)
	case o.Namespace != p.Namespace || o.Name != p.Name:
		return strings.Compare(o.Namespace+"/"+o.Name, p.Namespace+"/"+p.Name)
	}
	return KindRank[o.Kind] - KindRank[p.Kind]
}

// KindRank orders the kinds of the claims of one second and one name (C2).
var KindRank = map[string]int{KindHTTPRoute: 1, KindGRPCRoute: 2, KindTLSRoute: 3, "Ingress": 4, "Service": 5}

// CompareNames orders by namespace, then name.
func CompareNames(a, b cache.ObjectName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
