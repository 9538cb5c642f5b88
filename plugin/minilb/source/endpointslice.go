package source

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// slice is an EndpointSlice: the endpoints of a part of a Service, in one family.
type slice struct {
	meta
	service   cache.ObjectName // zero if it belongs to none
	endpoints []endpoint
	ports     []port
	triggered time.Time // when the change that led to its present state happened, zero if unknown
	problems  []problem
}

// endpoint is an address of a Service with what its conditions amount to.
type endpoint struct {
	addr        netip.Addr
	hostname    string // in lower case; "" for none
	ready       bool
	serving     bool
	terminating bool
}

// ciliumPlaceholder stands in the slices of Services that Cilium implements without pods (E17).
var ciliumPlaceholder = netip.AddrFrom4([4]byte{192, 192, 192, 192})

func reduceSlice(obj *discoveryv1.EndpointSlice) *slice {
	s := &slice{meta: newMeta(&obj.ObjectMeta)}
	if name := obj.Labels[discoveryv1.LabelServiceName]; name != "" { // E1
		s.service = cache.NewObjectName(obj.Namespace, name)
	}
	s.triggered, _ = time.Parse(time.RFC3339Nano, obj.Annotations[corev1.EndpointsLastChangeTriggerTime])
	if t := obj.AddressType; t != discoveryv1.AddressTypeIPv4 && t != discoveryv1.AddressTypeIPv6 { // E6
		s.problem("its address type %q cannot be answered with; its endpoints are left out", t)
		return s
	}
	s.ports = reducePorts(obj.Ports)
	for i := range obj.Endpoints {
		e := &obj.Endpoints[i]
		if len(e.Addresses) == 0 {
			s.problem("endpoint %d has no address and is left out", i)
			continue
		}
		addr, err := netip.ParseAddr(e.Addresses[0]) // E7: further ones mean nothing
		switch {
		case addr == ciliumPlaceholder:
			continue
		case err != nil || addr.Is4() != (obj.AddressType == discoveryv1.AddressTypeIPv4) || !usable(addr):
			s.problem("endpoint address %q is not an %s address that can be answered with, and is left out", shorten(e.Addresses[0]), obj.AddressType)
			continue
		}
		s.endpoints = append(s.endpoints, endpoint{
			addr:        addr,
			hostname:    strings.ToLower(value(e.Hostname, "")),
			ready:       isTrue(e.Conditions.Ready, true), // E2
			serving:     isTrue(e.Conditions.Serving, true),
			terminating: isTrue(e.Conditions.Terminating, false),
		})
	}
	return s
}

func (s *slice) problem(format string, args ...any) {
	o := s.owner("EndpointSlice")
	s.problems = append(s.problems, problem{owner: &o, reason: invalid, text: fmt.Sprintf(format, args...)})
}

// troubles returns the problems of a slice that may be nil.
func (s *slice) troubles() []problem {
	if s == nil {
		return nil
	}
	return s.problems
}

func isTrue(condition *bool, otherwise bool) bool {
	if condition == nil {
		return otherwise
	}
	return *condition
}

// usable reports whether a client on the LAN could reach addr at all. Loopback and the like
// would point it at itself or at its own link.
func usable(addr netip.Addr) bool {
	return addr.IsValid() && addr.Zone() == "" && !addr.Is4In6() &&
		!addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsMulticast() && !addr.IsLinkLocalUnicast()
}

// states counts the endpoints of a Service by what their conditions amount to.
type states struct {
	ready       int // answered
	terminating int // serving while they terminate: answered if none is ready (E3)
	notReady    int // never answered
}

// merge returns the addresses that a Service is answered with out of its slices, and how many
// endpoints there are (E3–E8).
func (o *Options) merge(slices map[string]*slice, https *https) (*records.Addresses, states) {
	endpoints := map[netip.Addr]endpoint{}
	for _, s := range slices {
		for _, e := range s.endpoints {
			// E8: in two slices at once, it has moved or its address was used again; the one
			// that does not terminate is the present one.
			if other, exists := endpoints[e.addr]; !exists || e.supersedes(other) {
				endpoints[e.addr] = e
			}
		}
	}
	var counts states
	var ready, terminating []netip.Addr
	var ready4, ready6 bool
	for addr, e := range endpoints {
		switch {
		case e.ready: // E5: alone decides, whatever else is said
			counts.ready++
			ready = append(ready, addr)
			ready4, ready6 = ready4 || addr.Is4(), ready6 || addr.Is6()
		case e.serving && e.terminating: // E4
			counts.terminating++
			terminating = append(terminating, addr)
		default:
			counts.notReady++
		}
	}
	for _, addr := range terminating { // E3: each family by itself
		if addr.Is4() && !ready4 || addr.Is6() && !ready6 {
			ready = append(ready, addr)
		}
	}
	answered := o.Wanted(ready...)
	answered.Endpoints = endpointNames(slices, answered)
	answered.HTTPS = https.binding(slices, answered)
	return answered, counts
}

// answeredIn reports whether the endpoint is one of those that a Service is answered with.
func (e endpoint) answeredIn(answered *records.Addresses) bool {
	return answered.Has(e.addr) && (e.ready || e.serving && e.terminating)
}

// supersedes orders the entries of one address; it is total, so that the order of the slices
// does not matter (C5).
func (e endpoint) supersedes(o endpoint) bool {
	if e.terminating != o.terminating {
		return !e.terminating
	}
	if e.ready != o.ready {
		return e.ready
	}
	return e.serving && !o.serving
}
