package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
	"k8s.io/apimachinery/pkg/util/validation"
)

// NearRule gives the clients in some networks the endpoints in some zones, or on some nodes, if there are any (L5).
type NearRule struct {
	Clients      []netip.Prefix // masked
	Zones, Nodes []string       // one is nil
}

// Has reports whether endpoints in a zone and on a node are near the clients.
func (r *NearRule) Has(zone, node string) bool {
	return slices.Contains(r.Zones, zone) || slices.Contains(r.Nodes, node)
}

// NearZones reports whether the zones of endpoints matter.
func (o *Options) NearZones() bool {
	return slices.ContainsFunc(o.Near, func(r NearRule) bool { return r.Zones != nil })
}

// NearNodes reports whether the nodes of endpoints matter to what is near.
func (o *Options) NearNodes() bool {
	return slices.ContainsFunc(o.Near, func(r NearRule) bool { return r.Nodes != nil })
}

// ByClient reports whether it may matter for an answer who asks.
func (o *Options) ByClient() bool { return o.Affinity || o.Near != nil }

// NearTable returns the index of the rule for each network of clients. The longest network that has a client counts.
func (o *Options) NearTable() *bart.Table[int] {
	table := new(bart.Table[int])
	for i, r := range o.Near {
		for _, network := range r.Clients {
			table.Insert(network, i)
		}
	}
	return table
}

// parseNear reads "near CIDR... zone|node NAME..." (L5).
func parseNear(b *Block, args []string) error {
	if err := separated(args); err != nil {
		return err
	}
	at := slices.IndexFunc(args, func(arg string) bool { return arg == "zone" || arg == "node" })
	if at < 1 || at == len(args)-1 {
		return wants(args, "CIDR... zone|node NAME...")
	}
	rule, names := NearRule{}, Distinct(args[at+1:])
	for _, arg := range args[:at] {
		network, err := parseNetwork(arg)
		if err != nil {
			return err
		}
		if _, known := b.Options.NearTable().Get(network); known || slices.Contains(rule.Clients, network) {
			return fmt.Errorf("%s is given twice: want each network once", network)
		}
		rule.Clients = append(rule.Clients, network)
	}
	check := validation.IsValidLabelValue
	if rule.Zones = names; args[at] == "node" {
		rule.Zones, rule.Nodes, check = nil, names, validation.IsDNS1123Subdomain
	}
	for _, name := range names {
		if problems := check(name); len(problems) > 0 || name == "" {
			return fmt.Errorf("%q cannot be a %s", name, args[at])
		}
	}
	b.Options.Near = append(b.Options.Near, rule)
	return nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Addr().Is4In6() {
		return network, fmt.Errorf("%q is not a CIDR such as 192.168.1.0/24 or fd00::/64", text)
	}
	return network.Masked(), nil
}
