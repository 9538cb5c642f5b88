package faults_test

import (
	"cmp"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// soakController is the controller of the soak's only GatewayClass.
const soakController = "example.org/soak"

// soakClaim is one host that an object claims (M1).
type soakClaim struct {
	host                 string // absolute
	kind                 int    // route, Ingress, Service (C2)
	namespace, name      string
	created              int64
	addrs                []netip.Addr
	services, hostsAlias []string // "namespace/name" of Services, and absolute names
}

// soakOutcome is what a host leads to.
type soakOutcome struct {
	addrs []netip.Addr
	alias string
	owner string // the namespace that claims it
}

// claimed returns what each host leads to that somebody may claim and has something behind it.
func (o *oracle) claimed(objects *objects) map[string]soakOutcome {
	byHost := map[string][]soakClaim{}
	for _, claim := range slices.Concat(o.serviceClaims(objects), o.ingressClaims(objects), o.routeClaims(objects)) {
		if o.admitted(&claim) {
			byHost[claim.host] = append(byHost[claim.host], claim)
		}
	}
	outcomes := map[string]soakOutcome{}
	// Of the hosts that lead to other claimed hosts, each leads to one that comes after it in the
	// alphabet (see generator), so that what it leads to is known before.
	for _, host := range slices.Backward(slices.Sorted(maps.Keys(byHost))) {
		if out := o.winning(byHost[host], outcomes); len(out.addrs) > 0 || out.services || out.alias != "" && host != soakZone { // D27
			outcomes[host] = out.soakOutcome
		}
	}
	return outcomes
}

// soakReached is what claims lead to, with whether a Service is among it, if one without endpoints.
type soakReached struct {
	soakOutcome
	services bool
}

// winning is M2, C2, C3 and G44.
func (o *oracle) winning(claims []soakClaim, known map[string]soakOutcome) soakReached {
	var live []soakClaim
	for _, claim := range claims {
		claim.services = slices.DeleteFunc(slices.Clone(claim.services), func(service string) bool {
			_, served := o.served[service]
			return !served
		})
		if len(claim.addrs)+len(claim.services)+len(claim.hostsAlias) > 0 {
			live = append(live, claim)
		}
	}
	if len(live) == 0 {
		return soakReached{}
	}
	winner := slices.MinFunc(live, func(a, b soakClaim) int {
		return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.namespace+"/"+a.name, b.namespace+"/"+b.name), cmp.Compare(a.kind, b.kind))
	})
	reached := soakReached{soakOutcome: soakOutcome{owner: winner.namespace}}
	var aliases []string
	for _, claim := range live {
		if claim.namespace != winner.namespace {
			continue
		}
		reached.addrs = append(reached.addrs, claim.addrs...)
		for _, service := range claim.services {
			s := o.served[service]
			reached.services = true
			reached.addrs = slices.Concat(reached.addrs, s.v4, s.v6)
		}
		for _, host := range claim.hostsAlias {
			there, claimed := known[host]
			switch {
			case !claimed:
				aliases = append(aliases, host)
			case there.alias != "":
				aliases = append(aliases, there.alias)
			default:
				reached.services = true // one without endpoints may be what it leads to
				reached.addrs = append(reached.addrs, there.addrs...)
			}
		}
	}
	if len(reached.addrs) == 0 && !reached.services && len(aliases) > 0 {
		reached.alias = slices.Min(aliases)
	}
	return reached
}

// admitted is D17.
func (o *oracle) admitted(claim *soakClaim) bool {
	if !dns.IsSubDomain(soakZone, claim.host) {
		return true
	}
	labels := dns.SplitDomainName(claim.host)
	labels = labels[:len(labels)-1]
	switch len(labels) {
	case 0:
		return true
	case 1:
		return labels[0] != "*" && labels[0] != "ns1"
	case 2:
		if _, served := o.served[labels[1]+"/"+labels[0]]; served {
			return false
		}
	}
	return labels[len(labels)-1] == claim.namespace
}

// hostPattern is G32 and I10: what the generator writes is short enough.
var hostPattern = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// hostOf returns a host as an absolute name, or "" if it is none.
func hostOf(written string) string {
	host := strings.ToLower(strings.TrimSuffix(written, "."))
	if _, err := netip.ParseAddr(host); err == nil || !hostPattern.MatchString(host) {
		return ""
	}
	for _, label := range strings.Split(host, ".") {
		if len(label) > 63 {
			return ""
		}
	}
	return host + "."
}

func (o *oracle) serviceClaims(objects *objects) (claims []soakClaim) {
	for key, service := range objects.services {
		if _, served := o.served[key]; !served { // I11
			continue
		}
		for _, written := range strings.FieldsFunc(service.Annotations["minilb/host"], func(r rune) bool { return r == ',' || r == ' ' }) { // I10
			if host := hostOf(written); host != "" {
				if !strings.Contains(written, ".") {
					host += soakZone
				}
				claim := newSoakClaim(3, &service.ObjectMeta, host)
				claim.services = []string{key}
				claims = append(claims, claim)
			}
		}
	}
	return claims
}

func newSoakClaim(kind int, meta *metav1.ObjectMeta, host string) soakClaim {
	return soakClaim{host: host, kind: kind, namespace: meta.Namespace, name: meta.Name, created: meta.CreationTimestamp.Unix()}
}

// lead adds what a status says: an address, a Service's name or another (M3).
func (c *soakClaim) lead(written string) {
	if addr, err := netip.ParseAddr(written); err == nil {
		c.addrs = append(c.addrs, addr)
		return
	}
	host := hostOf(written)
	if labels := dns.SplitDomainName(host); len(labels) == 3 && dns.IsSubDomain(soakZone, host) {
		c.services = append(c.services, labels[1]+"/"+labels[0]) // nothing else has such a name (see generator)
	} else {
		c.hostsAlias = append(c.hostsAlias, host)
	}
}

// annotated is M7.
func (c *soakClaim) annotated(meta *metav1.ObjectMeta) bool {
	service, annotated := meta.Annotations["minilb/service"]
	if !annotated {
		return false
	}
	if !strings.Contains(service, "/") {
		service = meta.Namespace + "/" + service
	}
	c.addrs, c.services, c.hostsAlias = nil, []string{service}, nil
	return true
}

// ingressClaims is I1 to I9.
func (o *oracle) ingressClaims(objects *objects) (claims []soakClaim) {
	for _, ingress := range objects.ingresses {
		if ingress.Labels["minilb/ignore"] == "true" {
			continue
		}
		for _, rule := range ingress.Spec.Rules {
			host := hostOf(rule.Host)
			if host == "" {
				continue
			}
			claim := newSoakClaim(2, &ingress.ObjectMeta, host)
			if !claim.annotated(&ingress.ObjectMeta) {
				for _, address := range ingress.Status.LoadBalancer.Ingress {
					if address.IP != "" {
						claim.lead(address.IP)
					}
					if address.Hostname != "" {
						claim.lead(address.Hostname)
					}
				}
			}
			claims = append(claims, claim)
		}
	}
	return claims
}

// routeClaims is G10 to G44 for the routes and Gateways that the generator makes.
func (o *oracle) routeClaims(objects *objects) (claims []soakClaim) {
	for _, route := range objects.routes {
		if route.Labels["minilb/ignore"] == "true" {
			continue
		}
		byHost := map[string]*soakClaim{}
		for _, ref := range route.Spec.ParentRefs {
			namespace := route.Namespace
			if ref.Namespace != nil {
				namespace = string(*ref.Namespace)
			}
			gateway := objects.gateways[namespace+"/"+string(ref.Name)]
			if gateway == nil || gateway.Labels["minilb/ignore"] == "true" || !acceptedParent(route, &ref) {
				continue
			}
			for _, listener := range gateway.Spec.Listeners {
				if !attaches(&ref, &listener, route.Namespace == gateway.Namespace) {
					continue
				}
				for _, host := range inCommon(listener.Hostname, route.Spec.Hostnames) {
					if byHost[host] == nil {
						claim := newSoakClaim(1, &route.ObjectMeta, host+".")
						byHost[host] = &claim
					}
					of := soakClaim{}
					if !of.annotated(&gateway.ObjectMeta) {
						for _, address := range gateway.Status.Addresses {
							of.lead(address.Value)
						}
					}
					claim := byHost[host] // G43
					claim.addrs = append(claim.addrs, of.addrs...)
					claim.services = append(claim.services, of.services...)
					claim.hostsAlias = append(claim.hostsAlias, of.hostsAlias...)
				}
			}
		}
		for _, claim := range byHost {
			claim.annotated(&route.ObjectMeta)
			claims = append(claims, *claim)
		}
	}
	return claims
}

// acceptedParent is G20 and G21.
func acceptedParent(route *gatewayv1.HTTPRoute, ref *gatewayv1.ParentReference) bool {
	equal := func(a, b *gatewayv1.ParentReference) bool {
		same := func(x, y *gatewayv1.Namespace) bool {
			own := gatewayv1.Namespace(route.Namespace)
			return *cmp.Or(x, &own) == *cmp.Or(y, &own)
		}
		section := func(s *gatewayv1.SectionName) gatewayv1.SectionName {
			if s == nil {
				return ""
			}
			return *s
		}
		port := func(p *gatewayv1.PortNumber) gatewayv1.PortNumber {
			if p == nil {
				return 0
			}
			return *p
		}
		return a.Name == b.Name && same(a.Namespace, b.Namespace) && section(a.SectionName) == section(b.SectionName) && port(a.Port) == port(b.Port)
	}
	for _, parent := range route.Status.Parents {
		if parent.ControllerName != soakController || !equal(&parent.ParentRef, ref) {
			continue
		}
		for _, condition := range parent.Conditions {
			if condition.Type == "Accepted" && condition.Status == metav1.ConditionTrue {
				return true
			}
		}
	}
	return false
}

// attaches is G11, G13 and G15.
func attaches(ref *gatewayv1.ParentReference, listener *gatewayv1.Listener, sameNamespace bool) bool {
	if ref.SectionName != nil && *ref.SectionName != listener.Name || ref.Port != nil && *ref.Port != listener.Port {
		return false
	}
	if listener.Protocol != gatewayv1.HTTPProtocolType && listener.Protocol != gatewayv1.HTTPSProtocolType {
		return false
	}
	from := gatewayv1.NamespacesFromSame
	if allowed := listener.AllowedRoutes; allowed != nil && allowed.Namespaces != nil && allowed.Namespaces.From != nil {
		from = *allowed.Namespaces.From
	}
	return from == gatewayv1.NamespacesFromAll || from == gatewayv1.NamespacesFromSame && sameNamespace
}

// inCommon is G30.
func inCommon(of *gatewayv1.Hostname, routes []gatewayv1.Hostname) (hosts []string) {
	listener := ""
	if of != nil {
		listener = string(*of)
	}
	if len(routes) == 0 {
		routes = []gatewayv1.Hostname{""}
	}
	wider := func(wide, narrow string) bool {
		suffix, wildcard := strings.CutPrefix(wide, "*")
		return wildcard && strings.HasSuffix(narrow, suffix) && len(narrow) > len(suffix)
	}
	for _, each := range routes {
		switch route := string(each); {
		case listener == "" && route == "":
		case listener == "" || listener == route || wider(listener, route):
			hosts = append(hosts, cmp.Or(route, listener))
		case route == "" || wider(route, listener):
			hosts = append(hosts, listener)
		}
	}
	return hosts
}
