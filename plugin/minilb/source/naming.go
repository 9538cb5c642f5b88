package source

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// naming makes the nodes of one snapshot. Hosts that lead to the same things share a node's
// addresses.
type naming struct {
	exposed map[cache.ObjectName]*exposure
	list    []records.Record
	unions  map[string]*union // by what is in them
	named   map[cache.ObjectName]bool
}

// union is the address set of hosts that lead to more than one Service, or to addresses.
type union struct {
	fixed    []netip.Addr
	services []cache.ObjectName
	addrs    *records.Set
}

func (u *union) merge(exposed map[cache.ObjectName]*exposure) *records.Addresses {
	all := []*records.Addresses{records.NewAddresses(u.fixed...)}
	for _, name := range u.services {
		if e := exposed[name]; e != nil {
			all = append(all, e.addrs.Load())
		}
	}
	return records.Union(all...)
}

// node makes the node of what a host leads to. One that leads to a single Service shares the
// Service's own set.
func (n *naming) node(out *outcome) *records.Node {
	node := &records.Node{Source: strings.ToLower(out.winner.kind), Namespace: out.winner.namespace}
	if out.external != nil {
		node.Target = out.external[0]
		return node
	}
	for _, name := range out.services {
		n.named[name] = true
	}
	if len(out.services) == 1 {
		node.Namespace, node.Service = out.services[0].Namespace, out.services[0].Name
		if len(out.addrs) == 0 {
			node.Addrs = n.exposed[out.services[0]].addrs
			return node
		}
	}
	key := fmt.Sprint(out.addrs, out.services)
	u := n.unions[key]
	if u == nil {
		u = &union{fixed: out.addrs, services: out.services, addrs: &records.Set{}}
		u.addrs.Store(u.merge(n.exposed))
		n.unions[key] = u
	}
	node.Addrs = u.addrs
	return node
}
