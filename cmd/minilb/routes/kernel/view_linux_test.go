package kernel

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
