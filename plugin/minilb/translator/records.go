package translator

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// union is the address set of hosts that lead to the same Services and addresses.
type union struct {
	key      string
	fixed    []netip.Addr
	services []cache.ObjectName
	addrs    *records.AddressSet // nil if they lead to only one Service, whose own set they have
	uses     map[string]int      // how many hosts there are by zone, "" for those outside the zones; the run loop owns it
	zones    []string            // of services: as published
}

// node makes the node of a host, and returns the union that it belongs to, nil for an alias.
func (t *Translator) node(out *claim.Resolution) (*records.Node, *union) {
	node := &records.Node{Source: strings.ToLower(out.Winner.Kind), Namespace: out.Winner.Namespace, NoHTTPS: out.NoTLS, TTL: out.TTL}
	if out.External != nil {
		node.Target = out.External[0]
		return node, nil
	}
	key := ""
	if len(out.Services) == 1 {
		service := out.Services[0]
		node.Namespace, node.Service = service.Namespace, service.Name
		if len(out.Addrs) == 0 {
			key, node.Addrs = service.String(), t.services.found[service].addrs
		}
	}
	if key == "" {
		key = fmt.Sprint(out.Addrs, out.Services)
	}
	u := t.unions[key]
	if u == nil {
		u = &union{key: key, fixed: out.Addrs, services: out.Services, uses: map[string]int{}}
		if node.Addrs == nil {
			u.addrs = records.NewAddressSet(u.merge(t.options, t.services.found))
		}
		t.unions[key] = u
	}
	node.Addrs = cmp.Or(node.Addrs, u.addrs)
	return node, u
}
