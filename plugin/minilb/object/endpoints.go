package object

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// Endpoint is an address of a Service with what its conditions amount to.
type Endpoint struct {
	Addr       netip.Addr
	Hostname   string // in lower case; "" for none
	Conditions Conditions
	Node       string // that it runs on; "" if that does not matter
	Zone       string // that it is in, such as a rack or a site; likewise
	Pod        uint32 // a number for the pod that it is, which others may have
}

// NoPod stands for an endpoint of which no pod is known.
const NoPod = 0

// Conditions are those of an endpoint that hold.
type Conditions byte

const (
	Serving Conditions = 1 << iota
	Ready
	Terminating
)

// Is reports whether a condition holds.
func (e *Endpoint) Is(condition Conditions) bool { return e.Conditions&condition != 0 }

// Compare orders endpoints by address. Of those of one address the one that counts is first (E8): one that does not
// terminate, then one that is ready, then one that serves. So the order of the slices does not matter (C5).
func (e *Endpoint) Compare(o *Endpoint) int {
	return cmp.Or(
		e.Addr.Compare(o.Addr),
		int(o.Conditions^Terminating)-int(e.Conditions^Terminating),
		strings.Compare(e.Hostname, o.Hostname),
		cmp.Compare(e.Pod, o.Pod),
		strings.Compare(e.Node, o.Node),
		strings.Compare(e.Zone, o.Zone),
	)
}

// Endpoints are those of a slice, in order and packed: they take most of the memory for a large cluster.
type Endpoints struct {
	Packed    []byte   `json:",omitzero"` // of each the address, of 4 or 16 bytes, and its conditions
	Hostnames []string `json:",omitzero"` // of each; nil if none has one
	Nodes     []string `json:",omitzero"` // of each; nil if they do not matter
	Zones     []string `json:",omitzero"` // likewise
	Pods      []uint32 `json:",omitzero"` // of each; nil if none is known
	Width     int      `json:",omitzero"` // of each of the packed
}

// Pack sorts and packs endpoints, all of one family.
func Pack(all []Endpoint) Endpoints {
	if len(all) == 0 {
		return Endpoints{}
	}
	slices.SortFunc(all, func(a, b Endpoint) int { return a.Compare(&b) })
	e := Endpoints{Width: all[0].Addr.BitLen()/8 + 1}
	e.Packed = make([]byte, 0, len(all)*e.Width)
	for i := range all {
		e.Packed = append(append(e.Packed, all[i].Addr.AsSlice()...), byte(all[i].Conditions))
	}
	e.Hostnames = column(all, func(of *Endpoint) string { return of.Hostname })
	e.Nodes = column(all, func(of *Endpoint) string { return of.Node })
	e.Zones = column(all, func(of *Endpoint) string { return of.Zone })
	if slices.ContainsFunc(all, func(of Endpoint) bool { return of.Pod != NoPod }) {
		e.Pods = make([]uint32, len(all))
		for i := range all {
			e.Pods[i] = all[i].Pod
		}
	}
	return e
}

// column returns a text of each endpoint, nil if all are "".
func column(all []Endpoint, text func(*Endpoint) string) []string {
	if !slices.ContainsFunc(all, func(e Endpoint) bool { return text(&e) != "" }) {
		return nil
	}
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = text(&all[i])
	}
	return texts
}

func (e *Endpoints) Len() int { return len(e.Packed) / max(1, e.Width) }

// All yields the endpoints in order.
func (e *Endpoints) All() iter.Seq[Endpoint] {
	return func(yield func(Endpoint) bool) {
		for i := range e.Len() {
			packed := e.Packed[i*e.Width:][:e.Width]
			next := Endpoint{Conditions: Conditions(packed[e.Width-1])}
			next.Addr, _ = netip.AddrFromSlice(packed[:e.Width-1])
			if e.Hostnames != nil {
				next.Hostname = e.Hostnames[i]
			}
			if e.Nodes != nil {
				next.Node = e.Nodes[i]
			}
			if e.Zones != nil {
				next.Zone = e.Zones[i]
			}
			if e.Pods != nil {
				next.Pod = e.Pods[i]
			}
			if !yield(next) {
				return
			}
		}
	}
}

const (
	StateReady       = "ready"
	StateNotReady    = "not ready"
	StateServing     = "terminating, still serving"
	StateTerminating = "terminating"
)

// String returns what the conditions amount to (E2, E3).
func (c Conditions) String() string {
	switch {
	case c&Ready != 0:
		return StateReady
	case c&Terminating == 0:
		return StateNotReady
	case c&Serving != 0:
		return StateServing
	}
	return StateTerminating
}

// Answerable reports whether the conditions let an endpoint be answered with, if not always.
func (e *Endpoint) Answerable() bool {
	return e.Is(Ready) || e.Is(Serving) && e.Is(Terminating)
}
