package source

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/printable"
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

// newEndpointSlice keeps what is answered, and what the fields ask for beyond that.
func newEndpointSlice(obj *discoveryv1.EndpointSlice, f *Fields) *slice {
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
			s.problem("endpoint address %q is not an %s address that can be answered with, and is left out", printable.Shorten(e.Addresses[0]), obj.AddressType)
			continue
		}
		next := endpoint{
			addr:       addr,
			hostname:   strings.ToLower(value(e.Hostname, "")),
			conditions: reduceConditions(&e.Conditions),
			pod:        reducePod(e.TargetRef),
		}
		if f.Nodes {
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

// reducePod returns a number for the pod that an endpoint is, by which its addresses of both families
// are found to be one endpoint's (D40). It is a short one, as there are many endpoints, so that pods may
// share it, and the same in each process, as snapshots have it.
func reducePod(ref *corev1.ObjectReference) uint32 {
	if ref == nil || ref.Kind != "Pod" {
		return noPod
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s/%s", ref.Namespace, ref.Name, ref.UID)
	return max(h.Sum32(), noPod+1)
}

func (s *slice) problem(format string, args ...any) {
	if len(s.problems) > maxFlaws {
		s.problems[maxFlaws].hosts++
		return
	}
	hosts := 0
	if len(s.problems) == maxFlaws {
		format, args, hosts = "more of its endpoints have problems and are left out", nil, 1
	}
	o := s.owner("EndpointSlice")
	s.problems = append(s.problems, problem{owner: &o, reason: ReasonEndpoint, text: fmt.Sprintf(format, args...), hosts: hosts})
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
