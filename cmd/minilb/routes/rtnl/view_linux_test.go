package rtnl

import "testing"

// R7: a route that contains an address of this host is left out, and taken away when the host gets one.
func TestKeepLeavesOutOwn(t *testing.T) {
	if !host(t) {
		return
	}
	k := keep(t)
	k.want <- routes(one, one6, "wide 192.168.0.0/16 192.168.2.31", "wide fd00:192::/32 fd00:192:168:1::31")
	eventually(t, shows[one], shows[one6])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nadded    fd00:244::/64 via fd00:192:168:1::30 dev lan (one)\n"+
		"keeping  2 of 4 routes in step: ip route show proto 109\n",
		"192.168.0.0/16 (wide): left out: it contains 192.168.1.1, an address of this host, which it would cut off",
		"fd00:192::/32 (wide): left out: it contains fd00:192:168:1::1, an address of this host, which it would cut off")
	ip(t, "addr add 10.244.0.1/32 dev other")
	eventually(t, shows[one6])
	k.said(t, "removed  10.244.0.0/24 via 192.168.1.30 dev lan (one)\n", "10.244.0.0/24 (one): left out: it contains 10.244.0.1, an address of this host, which it would cut off")
	ip(t, "addr del 10.244.0.1/32 dev other")
	eventually(t, shows[one], shows[one6])
}

// R7: so is one that contains the router of another route, in whatever table, for as long as that is there.
func TestKeepLeavesOutRouters(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add default via 192.168.1.254", "route add default via fd00:192:168:1::fe", "route add 10.9.0.0/16 via 192.168.2.99 table 7",
		"route add 10.8.0.0/16 nexthop via 192.168.2.200 nexthop via 192.168.2.210", "route add 10.7.0.0/16 via inet6 fd00:192:168:1:8000:: dev lan")
	k := keep(t)
	k.want <- routes(one, "main 192.168.1.128/25 192.168.1.31", "six fd00:192:168:1::f0/124 fd00:192:168:1::31",
		"table 192.168.2.96/28 192.168.1.32", "several 192.168.2.208/28 192.168.1.33", "via fd00:192:168:1:8000::/65 fd00:192:168:1::31")
	eventually(t, shows[one])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nkeeping  1 of 6 routes in step: ip route show proto 109\n",
		"192.168.1.128/25 (main): left out: it contains 192.168.1.254, the next hop of the route 0.0.0.0/0 via 192.168.1.254 dev lan, which it would cut off",
		"192.168.2.96/28 (table): left out: it contains 192.168.2.99, the next hop of the route 10.9.0.0/16 via 192.168.2.99 dev other table 7, which it would cut off",
		"192.168.2.208/28 (several): left out: it contains 192.168.2.210, the next hop of the route 10.8.0.0/16, which it would cut off",
		"fd00:192:168:1::f0/124 (six): left out: it contains fd00:192:168:1::fe, the next hop of the route ::/0 via fd00:192:168:1::fe dev lan, which it would cut off",
		"fd00:192:168:1:8000::/65 (via): left out: it contains fd00:192:168:1:8000::, the next hop of the route 10.7.0.0/16 dev lan, which it would cut off")
	ip(t, "route del default via 192.168.1.254")
	const added = "192.168.1.128/25 via 192.168.1.31 dev lan metric 1090"
	eventually(t, shows[one], added)
	ip(t, "route add default via 192.168.1.254 dev lan")
	eventually(t, shows[one])
}

// R8: next hops are looked for beside the routes that are ours, also where those lead them astray.
func TestKeepIgnoresItself(t *testing.T) {
	if !host(t) {
		return
	}
	// As an earlier version has left it: a route to where the nodes are.
	ip(t, "route add 192.168.1.0/27 via 192.168.1.40 proto 109 metric 1090")
	k := keep(t)
	k.want <- routes(one, two)
	eventually(t, shows[one], shows[two])
	k.said(t, "removed  192.168.1.0/27 via 192.168.1.40 dev lan\nadded    10.244.0.0/24 via 192.168.1.30 dev lan (one)\n"+
		"added    10.244.1.0/24 via 192.168.1.31 dev lan (two)\nkeeping  2 of 2 routes in step: ip route show proto 109\n")
	// A node whose address is in another's podCIDR is on no network for that.
	k.want <- routes(one, two, "in 10.244.7.0/24 10.244.1.9")
	k.said(t, "", "10.244.7.0/24 (in): left out: 10.244.1.9 is on no network of this host")
	eventually(t, shows[one], shows[two])
	// Of two ways the narrower one counts, and of two as narrow that of the lower metric.
	ip(t, "route add 192.168.1.30/32 dev other", "route add 192.168.1.31/32 dev lan metric 9", "route add 192.168.1.31/32 dev other metric 7")
	eventually(t, "10.244.0.0/24 via 192.168.1.30 dev other metric 1090", "10.244.1.0/24 via 192.168.1.31 dev other metric 1090")
	k.said(t, "changed  10.244.0.0/24 via 192.168.1.30 dev other (one), was dev lan\nchanged  10.244.1.0/24 via 192.168.1.31 dev other (two), was dev lan\n")
	// A network that is behind a router is not one of this host's.
	ip(t, "route add 192.168.1.31/32 via 192.168.2.9 metric 3")
	eventually(t, "10.244.0.0/24 via 192.168.1.30 dev other metric 1090")
}

// R22: of several addresses the first on a network of this host is the next hop, and another one when
// that goes.
func TestKeepChooses(t *testing.T) {
	if !host(t) {
		return
	}
	const many = "many 10.250.7.0/24 10.0.0.37 192.168.1.1 192.168.2.37 192.168.1.37"
	k := keep(t)
	k.want <- routes(many, "none 10.250.8.0/24 10.0.0.38 10.0.1.38")
	eventually(t, "10.250.7.0/24 via 192.168.2.37 dev other metric 1090")
	k.said(t, "added    10.250.7.0/24 via 192.168.2.37 dev other (many)\nkeeping  1 of 2 routes in step: ip route show proto 109\n",
		"10.250.8.0/24 (none): left out: 10.0.0.38 is on no network of this host, 10.0.1.38 is on no network of this host")
	ip(t, "addr del 192.168.2.1/24 dev other")
	eventually(t, "10.250.7.0/24 via 192.168.1.37 dev lan metric 1090")
	ip(t, "addr add 10.0.0.1/24 dev other")
	eventually(t, "10.250.7.0/24 via 10.0.0.37 dev other metric 1090", "10.250.8.0/24 via 10.0.0.38 dev other metric 1090")
}
