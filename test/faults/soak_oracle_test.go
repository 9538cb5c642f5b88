package faults_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/harness"
)

// What the soak's Corefile says.
const (
	soakZone    = "minilb."
	soakReverse = "244.10.in-addr.arpa."
)

// soakPassed is the verdict for what is left to the next plugin.
const soakPassed = "passed on"

// oracle says what each name must answer, as semantics.md and the man page have it. It knows
// nothing of how the plugin does it: it makes all names that there are anew from the objects, and
// each rule is what it says, however slow. Not changed once it is made.
type oracle struct {
	served  map[string]served // Services that are served, by "namespace/name"
	zones   map[string]*soakTree
	overlay *soakTree
}

// served is what a Service answers with.
type served struct {
	namespace, name string
	v4, v6          []netip.Addr
	labels          map[netip.Addr]string // of the endpoints
	ports           map[string][]soakPort // by "_port._protocol."
}

type soakPort struct {
	number int32
	addr   netip.Addr
}

func (s *served) domain() string { return s.name + "." + s.namespace + "." + soakZone }

func newOracle(objects *objects) *oracle {
	o := &oracle{
		served:  map[string]served{},
		zones:   map[string]*soakTree{soakZone: newSoakTree(soakZone), soakReverse: newSoakTree(soakReverse)},
		overlay: newSoakTree("."),
	}
	for key, service := range objects.services {
		if isServed(service) {
			o.served[key] = o.serve(service, objects.slices)
		}
	}
	for host, found := range o.claimed(objects) {
		tree := o.overlay
		if dns.IsSubDomain(soakZone, host) {
			tree = o.zones[soakZone]
		}
		node := addressNode(found.addrs)
		if found.alias != "" {
			node = soakNode{alias: found.alias}
		}
		node.owner = found.owner
		tree.put(host, node)
	}
	o.nameServices() // above all claims (C1)
	o.namePointers()
	return o
}

// isServed is S6 and M8.
func isServed(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass != nil &&
		*service.Spec.LoadBalancerClass == "minilb" && service.Labels["minilb/ignore"] != "true"
}

func isTrue(condition *bool, otherwise bool) bool {
	if condition == nil {
		return otherwise
	}
	return *condition
}

// serve is E1 to E9, D40 and D41.
func (o *oracle) serve(service *corev1.Service, all map[string]*discoveryv1.EndpointSlice) served {
	s := served{namespace: service.Namespace, name: service.Name, labels: map[netip.Addr]string{}, ports: map[string][]soakPort{}}
	type entry struct {
		addr                        netip.Addr
		ready, serving, terminating bool
		hostname                    string
		pod                         types.UID
		ports                       []discoveryv1.EndpointPort
	}
	type at struct { // E8
		addr  netip.Addr
		ports string
	}
	entries := map[at][]entry{}
	for _, slice := range all {
		if slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name || slice.Labels["minilb/ignore"] == "true" {
			continue
		}
		if slice.AddressType != discoveryv1.AddressTypeIPv4 && slice.AddressType != discoveryv1.AddressTypeIPv6 { // E6
			continue
		}
		var numbers []string
		for _, port := range slice.Ports { // D18: its name exists, whoever serves it
			name := portName(&port)
			if name != "" {
				s.ports[name] = slices.Clip(s.ports[name])
			}
			numbers = append(numbers, fmt.Sprint(name, *port.Port))
		}
		slices.Sort(numbers)
		for _, endpoint := range slice.Endpoints {
			e := entry{
				addr:        netip.MustParseAddr(endpoint.Addresses[0]), // E7
				ready:       isTrue(endpoint.Conditions.Ready, true),    // E2
				serving:     isTrue(endpoint.Conditions.Serving, true),
				terminating: isTrue(endpoint.Conditions.Terminating, false),
				ports:       slice.Ports,
			}
			if endpoint.Hostname != nil {
				e.hostname = *endpoint.Hostname
			}
			if endpoint.TargetRef != nil {
				e.pod = endpoint.TargetRef.UID
			}
			of := at{e.addr, fmt.Sprint(numbers)}
			entries[of] = append(entries[of], e)
		}
	}
	ready, terminating := map[bool][]entry{}, map[bool][]entry{} // by whether they are IPv4
	for of, all := range entries {
		best := slices.MinFunc(all, func(a, b entry) int {
			return cmp.Or(falseFirst(a.terminating, b.terminating), falseFirst(b.ready, a.ready), falseFirst(b.serving, a.serving))
		})
		switch is4 := of.addr.Is4(); {
		case best.ready:
			ready[is4] = append(ready[is4], best)
		case best.serving && best.terminating:
			terminating[is4] = append(terminating[is4], best)
		}
	}
	pods := map[types.UID]string{}            // their labels
	for _, is4 := range []bool{true, false} { // E3
		if len(ready[is4]) == 0 {
			ready[is4] = terminating[is4]
		}
		for _, e := range ready[is4] {
			if s.labels[e.addr] == "" { // all entries of an address have one hostname
				s.labels[e.addr] = cmp.Or(e.hostname, pods[e.pod], dashed(e.addr))
				if e.pod != "" { // D40
					pods[e.pod] = s.labels[e.addr]
				}
				if is4 {
					s.v4 = append(s.v4, e.addr)
				} else {
					s.v6 = append(s.v6, e.addr)
				}
			}
			for _, port := range e.ports {
				if name := portName(&port); name != "" {
					s.ports[name] = append(s.ports[name], soakPort{*port.Port, e.addr})
				}
			}
		}
	}
	return s
}

// portName returns the labels of a port, "" if it has no name or number.
func portName(port *discoveryv1.EndpointPort) string {
	if port.Name == nil || *port.Name == "" || port.Port == nil {
		return ""
	}
	return "_" + *port.Name + "._" + strings.ToLower(string(*port.Protocol)) + "."
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func dashed(addr netip.Addr) string {
	label := strings.NewReplacer(".", "-", ":", "-").Replace(addr.String())
	if strings.HasSuffix(label, "-") {
		label += "0"
	}
	return label
}

func addressNode(addrs []netip.Addr) soakNode {
	node := soakNode{data: map[uint16][]string{}}
	for _, addr := range addrs {
		if addr.Is4() {
			node.data[dns.TypeA] = append(node.data[dns.TypeA], "A "+addr.String())
		} else {
			node.data[dns.TypeAAAA] = append(node.data[dns.TypeAAAA], "AAAA "+addr.String())
		}
	}
	return node
}

// nameServices is D16, D24, D26, D40 and D41.
func (o *oracle) nameServices() {
	zone := o.zones[soakZone]
	zone.put("ns1."+soakZone, addressNode([]netip.Addr{netip.MustParseAddr("127.0.0.1")}))
	for _, s := range o.served {
		domain := s.domain()
		zone.put(domain, addressNode(slices.Concat(s.v4, s.v6)))
		at := map[string][]netip.Addr{}
		for addr, label := range s.labels {
			at[label+"."+domain] = append(at[label+"."+domain], addr)
		}
		for name, addrs := range at {
			zone.put(name, addressNode(addrs))
		}
		for port, targets := range s.ports {
			node := soakNode{data: map[uint16][]string{}, extra: map[uint16][]string{}}
			for _, target := range targets {
				name := s.labels[target.addr] + "." + domain
				node.data[dns.TypeSRV] = append(node.data[dns.TypeSRV], fmt.Sprintf("SRV 0 100 %d %s", target.number, name))
				for _, addr := range at[name] {
					node.extra[dns.TypeSRV] = append(node.extra[dns.TypeSRV], name+" "+addr.String())
				}
			}
			zone.put(port+domain, node)
		}
	}
}

// namePointers is D60.
func (o *oracle) namePointers() {
	names := map[string][]string{}
	for _, s := range o.served {
		for _, addr := range s.v4 {
			reverse, _ := dns.ReverseAddr(addr.String())
			if dns.IsSubDomain(soakReverse, reverse) {
				names[reverse] = append(names[reverse], "PTR "+s.labels[addr]+"."+s.domain())
			}
		}
	}
	for reverse, pointers := range names {
		o.zones[soakReverse].put(reverse, soakNode{data: map[uint16][]string{dns.TypePTR: pointers}})
	}
}

// verdict returns what the question is to be answered with.
func (o *oracle) verdict(name string, qtype uint16) string {
	asked := name
	name = strings.ToLower(name)
	for zone, tree := range o.zones {
		if !dns.IsSubDomain(zone, name) {
			continue
		}
		node, exists := tree.find(name)
		switch {
		case !exists:
			return "NXDOMAIN of " + zone
		case qtype == dns.TypeANY: // D28
			return `HINFO "RFC8482" ""`
		case name == zone && qtype == dns.TypeSOA:
			return "SOA ns1." + soakZone
		case name == soakZone && qtype == dns.TypeNS:
			return "NS ns1." + soakZone
		case node.alias != "":
			return beyond(node.alias, qtype)
		}
		return node.verdict(qtype, zone)
	}
	node, exists := o.overlay.findClaimed(name)
	switch {
	case !exists: // D3
		return soakPassed
	case qtype == dns.TypeANY:
		return `HINFO "RFC8482" ""`
	case !slices.Contains([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB}, qtype): // D6
		return soakPassed
	case node.alias != "":
		return beyond(node.alias, qtype)
	}
	return node.verdict(qtype, asked) // D5
}

func (n soakNode) verdict(qtype uint16, zone string) string {
	if len(n.data[qtype]) == 0 {
		return "NODATA of " + zone
	}
	return record(n.data[qtype], n.extra[qtype])
}

// beyond is an alias with what the soak's upstream says of it (D30).
func beyond(alias string, qtype uint16) string {
	data := []string{"CNAME " + alias}
	if there := harness.SoakUpstream[qtype]; there != "" {
		data = append(data, there)
	}
	return record(data, nil)
}

// record writes data and what is added to it, in order and each once.
func record(data, extra []string) string {
	written := strings.Join(once(data), ", ")
	if len(extra) > 0 {
		written += " with " + strings.Join(once(extra), ", ")
	}
	return written
}

func once[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// names returns all names that exist, but for those of the overlay that have none but others
// below them.
func (o *oracle) names() []string {
	var all []string
	for _, tree := range o.zones {
		all = slices.AppendSeq(all, maps.Keys(tree.nodes))
		all = slices.AppendSeq(all, maps.Keys(tree.above))
	}
	return slices.AppendSeq(all, maps.Keys(o.overlay.nodes))
}
