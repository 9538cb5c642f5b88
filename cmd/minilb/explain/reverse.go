package explain

import (
	"fmt"
	"net/netip"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// reverse lists the endpoints at the address whose reverse name the name is, and reports why PTR does not lead to them
// (D60).
func (e *explainer) reverse(addresses netip.Prefix, result records.Result) {
	if !addresses.IsSingleIP() {
		if result == records.NameError && e.Zone != "" {
			e.Notes = append(e.Notes, fmt.Sprintf("no Service is answered with an address in %s", addresses))
		}
		return
	}
	addr := addresses.Addr()
	for _, s := range e.seen.Services() {
		for _, at := range s.Endpoints {
			if at.Addr == addr {
				e.Endpoints = append(e.Endpoints, at)
			}
		}
	}
	if result != records.NameError {
		return
	}
	if e.Zone == "" {
		bits := 24
		if addr.Is6() {
			bits = 64
		}
		network, _ := addr.Prefix(bits)
		e.Notes = append(e.Notes, fmt.Sprintf("address %s is in no reverse zone of minilb: add its network to the zones, such as %s", addr, network))
	}
	for _, at := range e.Endpoints {
		switch {
		case at.Answered && e.Zone != "":
			e.Notes = append(e.Notes, fmt.Sprintf("the name of the endpoint of Service %s is longer than DNS allows", at.Service))
		case !at.Answered:
			e.Notes = append(e.Notes, fmt.Sprintf("Service %s is not answered with its endpoint %s, which is %s", at.Service, addr, at.State))
		}
	}
	if e.Endpoints == nil {
		e.Notes = append(e.Notes, fmt.Sprintf("no Service of class %s has an endpoint with address %s", e.block.Options.Class, addr))
	}
	for _, at := range e.seen.Addresses() {
		if at.Address == addr.String() {
			e.Notes = append(e.Notes, fmt.Sprintf("it is in the status of %s %s/%s: only endpoints of Services have PTR records", at.Kind, at.Namespace, at.Name))
		}
	}
}
