package source

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// endpoint is an address of a Service with what its conditions amount to.
type endpoint struct {
	addr       netip.Addr
	hostname   string // in lower case; "" for none
	conditions conditions
	node       string // that it runs on; "" if that does not matter
	pod        uint32 // a number for the pod that it is, which others may have
}

// noPod stands for an endpoint of which no pod is known.
const noPod = 0

// conditions are those of an endpoint that hold.
type conditions byte

const (
	isServing conditions = 1 << iota
	isReady
	isTerminating
)

// is reports whether a condition holds.
func (e *endpoint) is(condition conditions) bool { return e.conditions&condition != 0 }

// compare orders endpoints by address, and those of one address by which of them counts if they have
// the same ports, too (E8): it has moved or its address was used again, and the one that does not
// terminate is the present one, or else one that is ready, or serves. So the order of the slices does
// not matter (C5).
func (e *endpoint) compare(o *endpoint) int {
	return cmp.Or(
		e.addr.Compare(o.addr),
		int(o.conditions^isTerminating)-int(e.conditions^isTerminating),
		strings.Compare(e.hostname, o.hostname),
		cmp.Compare(e.pod, o.pod),
		strings.Compare(e.node, o.node),
	)
}

// endpoints are those of a slice, in order and packed: they are most of what is known of a large
// cluster.
type endpoints struct {
	packed    []byte   // of each the address, of 4 or 16 bytes, and its conditions
	hostnames []string // of each; nil if none has one
	nodes     []string // of each; nil if they do not matter
	pods      []uint32 // of each; nil if none is known
	width     int      // of each of the packed
}

// pack sorts and packs endpoints, all of one family.
func pack(all []endpoint) endpoints {
	if len(all) == 0 {
		return endpoints{}
	}
	slices.SortFunc(all, func(a, b endpoint) int { return a.compare(&b) })
	e := endpoints{width: all[0].addr.BitLen()/8 + 1}
	e.packed = make([]byte, 0, len(all)*e.width)
	for i := range all {
		e.packed = append(append(e.packed, all[i].addr.AsSlice()...), byte(all[i].conditions))
	}
	if slices.ContainsFunc(all, func(of endpoint) bool { return of.hostname != "" }) {
		for i := range all {
			e.hostnames = append(e.hostnames, all[i].hostname)
		}
	}
	if slices.ContainsFunc(all, func(of endpoint) bool { return of.node != "" }) {
		for i := range all {
			e.nodes = append(e.nodes, all[i].node)
		}
	}
	if slices.ContainsFunc(all, func(of endpoint) bool { return of.pod != noPod }) {
		e.pods = make([]uint32, len(all))
		for i := range all {
			e.pods[i] = all[i].pod
		}
	}
	return e
}

func (e *endpoints) len() int {
	if e.width == 0 {
		return 0
	}
	return len(e.packed) / e.width
}

// all yields the endpoints in order.
func (e *endpoints) all() iter.Seq[endpoint] {
	return func(yield func(endpoint) bool) {
		for i := range e.len() {
			packed := e.packed[i*e.width:][:e.width]
			next := endpoint{conditions: conditions(packed[e.width-1])}
			next.addr, _ = netip.AddrFromSlice(packed[:e.width-1])
			if e.hostnames != nil {
				next.hostname = e.hostnames[i]
			}
			if e.nodes != nil {
				next.node = e.nodes[i]
			}
			if e.pods != nil {
				next.pod = e.pods[i]
			}
			if !yield(next) {
				return
			}
		}
	}
}
