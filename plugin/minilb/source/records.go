package source

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// naming makes the nodes of hosts. Those that lead to the same things share a node's addresses.
type naming struct {
	options *config.Options
	find    func(cache.ObjectName) *exposedService
	unions  map[string]*union // by what is in them
	named   map[cache.ObjectName]zoneUses

	changedUnions map[*union]bool
	changedNamed  map[cache.ObjectName]bool
}

func newNaming(options *config.Options, find func(cache.ObjectName) *exposedService) naming {
	return naming{
		options: options, find: find, unions: map[string]*union{}, named: map[cache.ObjectName]zoneUses{},
		changedUnions: map[*union]bool{}, changedNamed: map[cache.ObjectName]bool{},
	}
}

// zoneUses are the zones in which addresses are answered with, and for how many hosts; "" is what lies outside of all.
type zoneUses map[string]int

func (z zoneUses) add(zone string, n int) {
	if z[zone] += n; z[zone] == 0 {
		delete(z, zone)
	}
}

// zones returns the zones alone.
func (z zoneUses) zones() []string { return slices.Sorted(maps.Keys(z)) }

// addressUse is which addresses the node of a host has.
type addressUse struct {
	zone    string
	service cache.ObjectName // if they are those of a single Service
	union   *union           // nil if not
}

// union is the address set of hosts that lead to more than one Service, or to addresses.
type union struct {
	key      string
	fixed    []netip.Addr
	services []cache.ObjectName
	addrs    *records.AddressSet
	uses     zoneUses // of the run loop
	zones    []string // of services: as published
}

func (u *union) merge(o *config.Options, find func(cache.ObjectName) *exposedService) *records.Addresses {
	fixed := records.NewAddresses(o.FilterFamilies(u.fixed)...)
	all := []*records.Addresses{fixed}
	var exposed []*exposedService
	sound := families{len(fixed.V4) > 0, len(fixed.V6) > 0} // there are addresses that nobody doubts
	for _, name := range u.services {
		if e := find(name); e != nil {
			exposed = append(exposed, e)
			addrs := e.healthy()
			sound[0], sound[1] = sound[0] || len(addrs.V4) > 0, sound[1] || len(addrs.V6) > 0
		}
	}
	for _, e := range exposed {
		addrs, doubtless := *e.addrs.Load(), e.healthy()
		if sound[0] {
			addrs.V4 = doubtless.V4
		}
		if sound[1] {
			addrs.V6 = doubtless.V6
		}
		all = append(all, &addrs)
	}
	return records.Union(all...)
}

// node makes the node of what a host in the zone leads to, and notes which addresses that needs. One that leads to a
// single Service shares the Service's own set.
func (n *naming) node(zone string, out *claim.Resolution) (*records.Node, addressUse) {
	node := &records.Node{Source: strings.ToLower(out.Winner.Kind), Namespace: out.Winner.Namespace, NoHTTPS: out.NoTLS}
	use := addressUse{zone: zone}
	if out.External != nil {
		node.Target = out.External[0]
		return node, use
	}
	if len(out.Services) == 1 {
		service := out.Services[0]
		node.Namespace, node.Service = service.Namespace, service.Name
		if len(out.Addrs) == 0 {
			use.service = service
			n.count(use, 1)
			node.Addrs = n.find(service).addrs
			return node, use
		}
	}
	key := fmt.Sprint(out.Addrs, out.Services)
	use.union = n.unions[key]
	if use.union == nil {
		use.union = &union{key: key, fixed: out.Addrs, services: out.Services, uses: zoneUses{}}
		use.union.addrs = records.NewAddressSet(use.union.merge(n.options, n.find))
		n.unions[key] = use.union
	}
	n.count(use, 1)
	node.Addrs = use.union.addrs
	return node, use
}

// count adds to the hosts that need addresses.
func (n *naming) count(use addressUse, hosts int) {
	switch {
	case use.union != nil:
		use.union.uses.add(use.zone, hosts)
		n.changedUnions[use.union] = true
	case use.service != cache.ObjectName{}:
		if n.named[use.service] == nil {
			n.named[use.service] = zoneUses{}
		}
		n.named[use.service].add(use.zone, hosts)
		n.changedNamed[use.service] = true
	}
}

// changes returns the zones of what has come to be needed since it was last called, or is needed elsewhere, or no longer.
func (n *naming) changes() (named map[cache.ObjectName][]string, unions map[*union][]string) {
	named, unions = map[cache.ObjectName][]string{}, map[*union][]string{}
	for service := range n.changedNamed {
		if named[service] = n.named[service].zones(); len(named[service]) == 0 {
			delete(n.named, service)
		}
	}
	for u := range n.changedUnions {
		if unions[u] = u.uses.zones(); len(unions[u]) == 0 {
			delete(n.unions, u.key)
		}
	}
	n.changedNamed = map[cache.ObjectName]bool{}
	n.changedUnions = map[*union]bool{}
	return named, unions
}
