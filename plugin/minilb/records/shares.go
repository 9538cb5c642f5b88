package records

import (
	"math/rand/v2"
	"slices"
)

// Shares are what the answers for a host that leads to several Services are drawn from, by family, IPv4 first: one of them for
// each answer (L3). A family without any has all addresses in each answer.
type Shares [2][]Share

// Share is the addresses of a Service in one family, which are answered as often as its weight says.
type Share struct {
	Addrs *Addresses
	upTo  uint32 // its weight, and those of the shares before it
}

// Add adds a Service's share to those of a family, unless its weight is 0. There may be 2^24 of them, with weights up to 255.
func (s *Shares) Add(family int, of *Addresses, weight uint16) {
	if weight == 0 {
		return
	}
	addrs := *of
	addrs.HTTPS, addrs.Endpoints = nil, nil // which are not drawn
	if family == 0 {
		addrs.V6 = nil
	} else {
		addrs.V4 = nil
	}
	upTo := uint32(weight)
	if n := len(s[family]); n > 0 {
		upTo += s[family][n-1].upTo
	}
	s[family] = append(s[family], Share{&addrs, upTo})
}

// Draw returns what an answer has its addresses of a family from: one of the shares, or a itself if there are none. If clients have
// affinity to the endpoints of all shares (L4), each of them draws the same one as long as the weights are the same; then others
// may draw another. A nil client is none in particular.
func (a *Addresses) Draw(c *Client, family int) (of *Addresses, varies bool) {
	if a.Shares == nil || a.Shares[family] == nil {
		return a, false
	}
	shares := a.Shares[family]
	sum := shares[len(shares)-1].upTo
	if c != nil && c.Network.IsValid() && !slices.ContainsFunc(shares, func(s Share) bool { return !s.Addrs.Affinity() }) {
		return pick(shares, uint32(mix(hashClient(c.Network))%uint64(sum))), true
	}
	return pick(shares, rand.Uint32N(sum)), false
}

// pick returns the share that a number below the sum of all weights stands for.
func pick(shares []Share, number uint32) *Addresses {
	i, _ := slices.BinarySearchFunc(shares, number, func(s Share, number uint32) int {
		if s.upTo <= number {
			return -1
		}
		return 1
	})
	return shares[i].Addrs
}

func (s *Shares) equal(o *Shares) bool {
	if s == nil || o == nil {
		return s == o
	}
	same := func(a, b Share) bool { return a.upTo == b.upTo && a.Addrs.EqualAddresses(b.Addrs) }
	return slices.EqualFunc(s[0], o[0], same) && slices.EqualFunc(s[1], o[1], same)
}
