package records

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Rendezvous hashing (L4): each client has the endpoints in the order of a hash of itself and the endpoint, so that an endpoint
// that comes or goes does not change the order of the others. Replicas of different versions must agree on the hashes.

const (
	endpointSeed = 0x9e3779b97f4a7c15 // the golden ratio
	clientSeed   = 0xd1b54a32d192ed03 // another one: of an endpoint that asks, both hashes would be equal, and cancel out
)

func hashEndpoint(addr netip.Addr) uint64 { return hash(addr, endpointSeed) }

func hashClient(network netip.Prefix) uint64 { return hash(network.Addr(), clientSeed) }

func hash(addr netip.Addr, seed uint64) uint64 {
	octets := addr.As16()
	return mix(binary.BigEndian.Uint64(octets[8:]) ^ mix(binary.BigEndian.Uint64(octets[:8])^seed))
}

// mix is the finalizer of MurmurHash3: each bit of x changes each bit of the result with probability 1/2.
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// identity returns the address that stands for the endpoint with an address: the IPv4 one if it has one of each family, so that a
// client gets the same endpoint in both.
func (a *Addresses) identity(addr netip.Addr) netip.Addr {
	own := a.own(addr)
	if len(own) == 0 {
		return a.namedFor(addr)
	}
	label := a.hosts[own[0]].Label
	i, _ := a.first(label) // the hosts of a label are in the order of their addresses
	if i+1 < len(a.hosts) && a.hosts[i+1].Label == label && (i+2 == len(a.hosts) || a.hosts[i+2].Label != label) &&
		a.hosts[i].Addr.Is4() && a.hosts[i+1].Addr.Is6() {
		return a.hosts[i].Addr
	}
	return addr
}

// maxInserted is up to how many of the first addresses it is cheaper to insert each than to sort all.
const maxInserted = 128

// ranked is an address by its place in the order of a client.
type ranked struct {
	hash  uint64
	index int
}

// first returns the first addresses in the order of a client, at most limit, 0 meaning all.
func (c *candidates) first(client uint64, limit int) []netip.Addr {
	if limit <= 0 || limit > len(c.addrs) {
		limit = len(c.addrs)
	}
	var room [usual]ranked
	first := room[:0]
	if limit > usual {
		first = make([]ranked, 0, limit)
	}
	if limit > maxInserted {
		first = slices.Grow(first, len(c.addrs))
		for i, endpoint := range c.hashes {
			first = append(first, ranked{mix(endpoint ^ client), i})
		}
		slices.SortFunc(first, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.hash, b.hash), a.index-b.index) })
		first = first[:limit]
	} else {
		first = insertFirst(first, c.hashes, client, limit)
	}
	picked := make([]netip.Addr, len(first))
	for i, r := range first {
		picked[i] = c.addrs[r.index]
	}
	return picked
}

// insertFirst keeps the first ones in order, of which there are few: most endpoints cost a comparison.
func insertFirst(first []ranked, endpoints []uint64, client uint64, limit int) []ranked {
	for i, endpoint := range endpoints {
		h := mix(endpoint ^ client)
		if len(first) == limit {
			if h >= first[limit-1].hash {
				continue
			}
			first = first[:limit-1]
		}
		at := len(first)
		first = append(first, ranked{})
		for ; at > 0 && first[at-1].hash > h; at-- {
			first[at] = first[at-1]
		}
		first[at] = ranked{h, i}
	}
	return first
}
