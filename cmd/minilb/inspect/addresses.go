package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// StatusAddress is an address to which an object's status lets hosts lead.
type StatusAddress struct {
	Kind, Namespace, Name string // of a Gateway or an Ingress
	Address               string // an IP address, or a hostname without its final dot
}

// Addresses returns those of all Gateways and Ingresses that count.
func (i *DryRun) Addresses() []StatusAddress {
	var all []StatusAddress
	add := func(l *object.Targets) {
		for _, target := range l.List {
			if address := target.Address(); address != "" {
				all = append(all, StatusAddress{l.Kind, l.Ref.Namespace, l.Name, address})
			}
		}
	}
	for gw := range i.Routes.Gateways() {
		add(&gw.Targets)
	}
	for c := range i.Ingresses() {
		add(&c.Targets)
	}
	slices.SortFunc(all, func(a, b StatusAddress) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	})
	return slices.Compact(all)
}
