package source

import (
	"fmt"
	"net/netip"
	"slices"
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
	service   string // "" if it belongs to none
	endpoints endpoints
	ports     []port
	triggered int64     // when the change that led to its present state happened, in Unix nanoseconds, 0 if unknown
	problems  []problem // what could not be used
}

// owning returns the Service that the slice belongs to; its name is "" for none.
func (s *slice) owning() cache.ObjectName { return cache.NewObjectName(s.namespace, s.service) }

// ciliumPlaceholder stands in the slices of Services that Cilium implements without pods (E17).
var ciliumPlaceholder = netip.AddrFrom4([4]byte{192, 192, 192, 192})

// reduceSlice keeps what is answered, and what the Translators of the Watcher ask beyond that.
func (w *Watcher) reduceSlice(obj *discoveryv1.EndpointSlice) *slice {
	s := &slice{meta: newMeta(&obj.ObjectMeta)}
	s.service = obj.Labels[discoveryv1.LabelServiceName] // E1
	if triggered, err := time.Parse(time.RFC3339Nano, obj.Annotations[corev1.EndpointsLastChangeTriggerTime]); err == nil && !triggered.IsZero() {
		s.triggered = triggered.UnixNano()
	}
	if t := obj.AddressType; t != discoveryv1.AddressTypeIPv4 && t != discoveryv1.AddressTypeIPv6 { // E6
		s.problem("its address type %q cannot be answered with; its endpoints are left out", t)
		return s
	}
	if len(obj.Ports) > maxPorts {
		s.problem("it has %d ports; only the first %d are known by their names", len(obj.Ports), maxPorts)
	}
	s.ports = reducePorts(obj.Ports[:min(maxPorts, len(obj.Ports))])
	all := make([]endpoint, 0, len(obj.Endpoints))
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
		case err != nil || addr.Is4() != (obj.AddressType == discoveryv1.AddressTypeIPv4) || !Usable(addr):
			s.problem("endpoint address %q is not an %s address that can be answered with, and is left out", shorten(e.Addresses[0]), obj.AddressType)
			continue
		}
		next := endpoint{
			addr:       addr,
			hostname:   strings.ToLower(value(e.Hostname, "")),
			conditions: reduceConditions(&e.Conditions),
		}
		if len(w.probing) > 0 || w.nodes {
			next.node = intern(value(e.NodeName, ""))
		}
		all = append(all, next)
	}
	s.endpoints = pack(all)
	return s
}

// reduceConditions returns those that hold, or hold where nothing is said (E2).
func reduceConditions(c *discoveryv1.EndpointConditions) conditions {
	var holding conditions
	if isTrue(c.Ready, true) {
		holding |= isReady
	}
	if isTrue(c.Serving, true) {
		holding |= isServing
	}
	if isTrue(c.Terminating, false) {
		holding |= isTerminating
	}
	return holding
}

func (s *slice) problem(format string, args ...any) {
	o := s.owner("EndpointSlice")
	s.problems = append(s.problems, problem{owner: &o, reason: badEndpoint, text: fmt.Sprintf(format, args...)})
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

// states counts the endpoints of a Service by what their conditions amount to.
type states struct {
	ready       int // answered
	terminating int // serving while they terminate: answered if none is ready (E3)
	notReady    int // never answered
	suspect     int // would be answered, but accept no connections, as probes have found
}

// families holds what is true of IPv4 and of IPv6.
type families [2]bool

// family returns the index of an address' family.
func family(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}

// usableOf returns the addresses that a Service can be answered with out of its slices, in order,
// whether those of each family are ready ones, and how many endpoints there are (E3–E8).
func usableOf(slicesOf []*slice) (answering []netip.Addr, ready families, counts states) {
	total := 0
	for _, s := range slicesOf {
		total += s.endpoints.len()
	}
	all := make([]endpoint, 0, total)
	for _, s := range slicesOf {
		all = slices.AppendSeq(all, s.endpoints.all())
	}
	if len(slicesOf) > 1 {
		slices.SortFunc(all, func(a, b endpoint) int { return a.compare(&b) })
	}
	all = slices.CompactFunc(all, func(a, b endpoint) bool { return a.addr == b.addr })

	for i := range all {
		switch e := &all[i]; {
		case e.is(isReady): // E5: alone decides, whatever else is said
			counts.ready++
			ready[family(e.addr)] = true
		case e.answerable(): // E4
			counts.terminating++
		default:
			counts.notReady++
		}
	}
	answering = make([]netip.Addr, 0, counts.ready+counts.terminating)
	for i := range all {
		// E3: what terminates is for a family in which nothing is ready.
		if e := &all[i]; e.is(isReady) || e.answerable() && !ready[family(e.addr)] {
			answering = append(answering, e.addr)
		}
	}
	return answering, ready, counts
}

// addressesOf returns what a Service is answered with, by its slices and those of their addresses
// that it can be answered with.
func (o *Options) addressesOf(slicesOf []*slice, answering []netip.Addr, https *https) *records.Addresses {
	answered := o.Wanted(answering...)
	answered.Endpoints = endpointNames(slicesOf, answered)
	answered.HTTPS = https.binding(slicesOf, answered)
	return answered
}

// answerable reports whether the conditions let an endpoint be answered with, if not always.
func (e *endpoint) answerable() bool {
	return e.is(isReady) || e.is(isServing) && e.is(isTerminating)
}

// answeredIn reports whether the endpoint is one of those that a Service is answered with.
func (e *endpoint) answeredIn(answered *records.Addresses) bool {
	return e.answerable() && answered.Has(e.addr)
}
