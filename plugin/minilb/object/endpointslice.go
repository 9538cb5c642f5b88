package object

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// EndpointSlice is an EndpointSlice: the endpoints of a part of a Service, in one family.
type EndpointSlice struct {
	Meta
	Service   string    `json:",omitzero"` // "" if it belongs to none
	Endpoints Endpoints `json:",omitzero"`
	Ports     []Port    `json:",omitzero"`
	Triggered int64     `json:",omitzero"` // when the change that led to its present state happened, in Unix nanoseconds, 0 if unknown
	Problems  []Problem `json:",omitzero"` // what could not be used
}

// ServiceName returns the Service that the slice belongs to; its name is "" for none.
func (s *EndpointSlice) ServiceName() cache.ObjectName {
	return cache.NewObjectName(s.Namespace, s.Service)
}

// NewEndpointSlice keeps what is answered, and what the fields ask for beyond that.
func NewEndpointSlice(obj *discoveryv1.EndpointSlice, f *Fields) *EndpointSlice {
	s := &EndpointSlice{Meta: newMeta(obj)}
	s.Service = obj.Labels[discoveryv1.LabelServiceName] // E1
	if triggered, err := time.Parse(time.RFC3339Nano, obj.Annotations[corev1.EndpointsLastChangeTriggerTime]); err == nil && !triggered.IsZero() {
		s.Triggered = triggered.UnixNano()
	}
	if t := obj.AddressType; t != discoveryv1.AddressTypeIPv4 && t != discoveryv1.AddressTypeIPv6 { // E6
		s.addProblem("its address type %q cannot be answered with; its endpoints are left out", t)
		return s
	}
	if len(obj.Ports) > maxPorts {
		s.addProblem("it has %d ports; only the first %d are known by their names", len(obj.Ports), maxPorts)
	}
	s.Ports = reducePorts(obj.Ports[:min(maxPorts, len(obj.Ports))])
	all := make([]Endpoint, 0, len(obj.Endpoints))
	for i := range obj.Endpoints {
		e := &obj.Endpoints[i]
		if len(e.Addresses) == 0 {
			s.addProblem("endpoint %d has no address and is left out", i)
			continue
		}
		addr, err := netip.ParseAddr(e.Addresses[0]) // E7: further ones mean nothing
		switch {
		case addr == lb.CiliumPlaceholder: // E17
			continue
		case err != nil || addr.Is4() != (obj.AddressType == discoveryv1.AddressTypeIPv4) || !usable(addr):
			s.addProblem("endpoint address %q is not an %s address that can be answered with, and is left out", printable.Shorten(e.Addresses[0]), obj.AddressType)
			continue
		}
		next := Endpoint{
			Addr:       addr,
			Hostname:   strings.ToLower(ptr.Deref(e.Hostname, "")),
			Conditions: reduceConditions(&e.Conditions),
			Pod:        reducePod(e.TargetRef),
		}
		if f.Nodes {
			next.Node = intern(ptr.Deref(e.NodeName, ""))
		}
		if f.Zones {
			next.Zone = intern(ptr.Deref(e.Zone, ""))
		}
		all = append(all, next)
	}
	s.Endpoints = Pack(all)
	return s
}

// reduceConditions fills in the defaults (E2).
func reduceConditions(c *discoveryv1.EndpointConditions) Conditions {
	var holding Conditions
	if ptr.Deref(c.Ready, true) {
		holding |= Ready
	}
	if ptr.Deref(c.Serving, true) {
		holding |= Serving
	}
	if ptr.Deref(c.Terminating, false) {
		holding |= Terminating
	}
	return holding
}

// reducePod returns a hash of the pod, by which addresses of both families are found to be one endpoint's (D40). Pods may
// share it; it is the same in each process, for snapshots.
func reducePod(ref *corev1.ObjectReference) uint32 {
	if ref == nil || ref.Kind != "Pod" {
		return NoPod
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s/%s", ref.Namespace, ref.Name, ref.UID)
	return max(h.Sum32(), NoPod+1)
}

func (s *EndpointSlice) addProblem(format string, args ...any) {
	if len(s.Problems) > MaxProblems {
		s.Problems[MaxProblems].Hosts++
		return
	}
	hosts := 0
	if len(s.Problems) == MaxProblems {
		format, args, hosts = "more of its endpoints have problems and are left out", nil, 1
	}
	s.Problems = append(s.Problems, Problem{Ref: new(s.Ref("EndpointSlice")), Reason: ReasonEndpoint, Text: fmt.Sprintf(format, args...), Hosts: hosts})
}

// ProblemsOf returns the problems of a slice that may be nil.
func (s *EndpointSlice) ProblemsOf() []Problem {
	if s == nil {
		return nil
	}
	return s.Problems
}
