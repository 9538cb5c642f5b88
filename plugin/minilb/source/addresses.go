package source

import (
	"cmp"
	"slices"
	"strings"
)

// StatusAddress is an address to which an object's status lets hosts lead.
type StatusAddress struct {
	Kind, Namespace, Name string // of a Gateway or an Ingress
	Address               string // an IP address, or a hostname without its final dot
}

// Addresses returns those of all Gateways and Ingresses that count.
func (i *Inspection) Addresses() []StatusAddress {
	t := i.translator
	a := i.attachment()
	var all []StatusAddress
	add := func(l *lead) {
		for _, target := range l.targets {
			if address := target.address(); address != "" {
				all = append(all, StatusAddress{l.kind, l.owner.namespace, l.name, address})
			}
		}
	}
	for _, gw := range t.attached.gateways {
		if _, o := a.gateway(gw.kindName()); o == nil {
			add(&gw.lead)
		}
	}
	for _, c := range t.claims {
		add(&c.lead)
	}
	slices.SortFunc(all, func(a, b StatusAddress) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	})
	return slices.Compact(all)
}

// address returns the target as people write it, "" if an annotation names a Service (M7).
func (t *target) address() string {
	if t.addr.IsValid() {
		return t.addr.String()
	}
	return plain(t.host)
}
