package translator

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// naming makes the nodes of hosts. Those that lead to the same Services and addresses share an address set.
type naming struct {
	options *config.Options
	exposed map[cache.ObjectName]*exposedService // that claims lead to
	unions  map[string]*union                    // by what is in them
	named   map[cache.ObjectName]zoneUses

	changedUnions map[*union]bool
	changedNamed  map[cache.ObjectName]bool
}

// zoneUses is the number of hosts with some addresses by zone, "" for those outside the zones.
type zoneUses map[string]int

func (z zoneUses) Add(zone string, n int) {
	if z[zone] += n; z[zone] == 0 {
		delete(z, zone)
	}
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

func (u *union) merge(o *config.Options, services map[cache.ObjectName]*exposedService) *records.Addresses {
	fixed := records.NewAddresses(o.FilterFamilies(u.fixed)...)
	all := []*records.Addresses{fixed}
	var exposed []*exposedService
	sound := endpoint.Families{len(fixed.V4) > 0, len(fixed.V6) > 0} // there are addresses that nobody doubts
	for _, name := range u.services {
		if e := services[name]; e != nil {
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

// node makes the node of a host. If it leads to only one Service it shares the Service's own set; else it has that of a union.
func (n *naming) node(out *claim.Resolution) (*records.Node, *union) {
	node := &records.Node{Source: strings.ToLower(out.Winner.Kind), Namespace: out.Winner.Namespace, NoHTTPS: out.NoTLS}
	if out.External != nil {
		node.Target = out.External[0]
		return node, nil
	}
	if len(out.Services) == 1 {
		service := out.Services[0]
		node.Namespace, node.Service = service.Namespace, service.Name
		if len(out.Addrs) == 0 {
			node.Addrs = n.exposed[service].addrs
			return node, nil
		}
	}
	key := fmt.Sprint(out.Addrs, out.Services)
	u := n.unions[key]
	if u == nil {
		u = &union{key: key, fixed: out.Addrs, services: out.Services, uses: zoneUses{}}
		u.addrs = records.NewAddressSet(u.merge(n.options, n.exposed))
		n.unions[key] = u
	}
	node.Addrs = u.addrs
	return node, u
}

// count adds to the hosts in a zone that have a node, of a union if it is not nil, or subtracts them.
func (n *naming) count(zone string, node *records.Node, u *union, hosts int) {
	switch {
	case u != nil:
		u.uses.Add(zone, hosts)
		n.changedUnions[u] = true
	case node.Target == "":
		service := cache.NewObjectName(node.Namespace, node.Service)
		if n.named[service] == nil {
			n.named[service] = zoneUses{}
		}
		n.named[service].Add(zone, hosts)
		n.changedNamed[service] = true
	}
}

// changes returns the zones of Services and unions whose uses have changed since it was last called.
func (n *naming) changes() (named map[cache.ObjectName][]string, unions map[*union][]string) {
	named, unions = map[cache.ObjectName][]string{}, map[*union][]string{}
	for service := range n.changedNamed {
		if named[service] = slices.Sorted(maps.Keys(n.named[service])); len(named[service]) == 0 {
			delete(n.named, service)
		}
	}
	for u := range n.changedUnions {
		if unions[u] = slices.Sorted(maps.Keys(u.uses)); len(unions[u]) == 0 {
			delete(n.unions, u.key)
		}
	}
	n.changedNamed = map[cache.ObjectName]bool{}
	n.changedUnions = map[*union]bool{}
	return named, unions
}
