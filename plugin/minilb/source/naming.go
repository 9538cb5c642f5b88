package source

import (
	"fmt"
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
	asked   *questions
	before  map[string]*union // of the last time
	unions  map[string]*union // by what is in them
	named   map[cache.ObjectName]zoneNames
}

// zoneNames are zones in which addresses are answered with; "" is what lies outside of all.
type zoneNames []string

func (z zoneNames) with(zone string) zoneNames {
	if slices.Contains(z, zone) {
		return z
	}
	return append(z, zone)
}

// union is the address set of hosts that lead to more than one Service, or to addresses.
type union struct {
	fixed    []netip.Addr
	services []cache.ObjectName
	addrs    *records.Set
	zones    zoneNames
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

// node makes the node of what a host in the zone leads to. One that leads to a single Service
// shares the Service's own set.
func (n *naming) node(zone string, out *claim.Resolution) *records.Node {
	node := &records.Node{Source: strings.ToLower(out.Winner.Kind), Namespace: out.Winner.Namespace, Plain: out.NoTLS}
	if out.External != nil {
		node.Target = out.External[0]
		return node
	}
	if len(out.Services) == 1 {
		service := out.Services[0]
		node.Namespace, node.Service = service.Namespace, service.Name
		if len(out.Addrs) == 0 {
			n.named[service] = n.named[service].with(zone)
			node.Addrs = n.asked.service(service).addrs
			return node
		}
	}
	key := fmt.Sprint(out.Addrs, out.Services)
	u := n.unions[key]
	if u == nil {
		u = &union{fixed: out.Addrs, services: out.Services}
		if before := n.before[key]; before != nil {
			u.addrs = before.addrs // which is up to date, and may be read
		} else {
			u.addrs = records.NewSet(u.merge(n.options, n.asked.service))
		}
		n.unions[key] = u
	}
	u.zones = u.zones.with(zone)
	node.Addrs = u.addrs
	return node
}
