package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// ClaimStatus is an object that asks for a host, with the result.
type ClaimStatus struct {
	Kind      string                 `json:"kind"`
	Namespace string                 `json:"namespace"`
	Name      string                 `json:"name"`
	Created   time.Time              `json:"created"`
	Host      string                 `json:"host"`    // that it asks for, without its final dot: a name, or a wildcard that covers it
	Accepted  Accepted               `json:"verdict"` // its targets are among what the host is answered with
	Targets   []string               `json:"leads"`   // if it is accepted
	Message   string                 `json:"why"`     // why it is not accepted, or a remark; may be ""
	Parents   []gateway.ParentStatus `json:"parents"` // of a route
	Services  []string               `json:"-"`       // among the targets, as namespace/name
	Addresses []string               `json:"-"`       // of its status if it is accepted: IP addresses and hostnames
}

// Accepted is true for a claim that answers.
type Accepted bool

func (a Accepted) String() string {
	if a {
		return "answers"
	}
	return "does not count"
}

// MarshalText implements the encoding.TextMarshaler interface.
func (a Accepted) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Claims returns the objects that ask for a canonical name or for a wildcard that covers it, those
// that answer first, then by host, age and name. Ignored objects, and those of other classes, are among them.
func (i *DryRun) Claims(name string) []ClaimStatus {
	var all []ClaimStatus
	add := func(of object.Ref, hosts []string, why string) {
		for _, host := range hosts {
			if hostname.Matches(host, name) {
				all = append(all, i.claimStatus(of, host, why))
			}
		}
	}
	options := i.Options
	for _, namespace := range cluster.NamespacesOf(options) {
		for _, s := range slices.Concat(i.cluster.Services(namespace).List(), i.cluster.LabelledServices(namespace).List()) {
			if c := claim.FromService(options, s); c != nil {
				add(s.Ref("Service"), c.Hosts, i.withoutService(s))
			}
		}
		if options.Ingresses {
			for _, g := range i.cluster.Ingresses(namespace).List() {
				var asked claim.Claim
				asked.AddHosts(slices.Values(g.Hosts), "")
				add(g.Ref("Ingress"), asked.Hosts, i.withoutIngress(g))
			}
		}
		if options.Gateways {
			for _, kind := range cluster.RouteKinds {
				for _, r := range i.cluster.Routes(kind, namespace).List() {
					all = append(all, i.ofRoute(r, name)...)
				}
			}
		}
	}
	all = i.relevant(name, all)
	slices.SortFunc(all, func(a, b ClaimStatus) int {
		return cmp.Or(strings.Compare(a.Accepted.String(), b.Accepted.String()), cmp.Compare(len(b.Host), len(a.Host)), strings.Compare(b.Host, a.Host), a.Created.Compare(b.Created),
			strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name), object.KindRank[a.Kind]-object.KindRank[b.Kind])
	})
	return all
}

// Lists reports whether a list of hosts, as annotations have it, has a canonical name or a wildcard that covers
// it. A host without any dot is relative to the zone (I10).
func Lists(list, name, zone string) bool {
	for item := range hostname.Split(list) {
		if host, _, err := hostname.ParseRelative(item, zone); err == nil && hostname.Matches(host, name) {
			return true
		}
	}
	return false
}

const ignored = "label " + lb.IgnoreLabels + " makes it absent"

// withoutService returns why a Service has no claims, "" if it has.
func (i *DryRun) withoutService(s *object.Service) string {
	o := i.Options
	switch {
	case s.Ignored:
		return ignored
	case !o.Services:
		return "Services are not among the resources that are read"
	case s.Exposed(o.Class, o.DefaultClass):
		return ""
	case s.Class == nil:
		return fmt.Sprintf("it is not of class %q: it has no spec.loadBalancerClass", o.Class)
	}
	return fmt.Sprintf("it is not of class %q: its spec.loadBalancerClass is %q", o.Class, printable.Shorten(*s.Class))
}

// withoutIngress is the same for an Ingress.
func (i *DryRun) withoutIngress(g *object.Ingress) string {
	switch {
	case g.Ignored:
		return ignored
	case claim.SelectsIngress(i.Options, g):
		return ""
	case g.Classes == nil:
		return "it has no class, and only those of ingress_classes count"
	}
	return fmt.Sprintf("its class %q is not among ingress_classes", printable.Shorten(strings.Join(g.Classes, ", ")))
}

// claimStatus returns the status of a host of an object, which has no claims if there is a reason why.
func (i *DryRun) claimStatus(o object.Ref, host, why string) ClaimStatus {
	c := ClaimStatus{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Created: time.Unix(o.Created, 0).UTC(), Host: hostname.Plain(host)}
	entries := i.Resolver.Own(host)
	if i.Hosts[host] != nil {
		entries = append(entries, i.Resolver.Counting(host)...)
	}
	var leftOut []string
	for _, of := range entries {
		if of.Ref == o {
			targets, without := i.targetsOf(of, host)
			c.Accepted, c.Targets, leftOut = c.Accepted || len(targets) > 0, append(c.Targets, targets...), append(leftOut, without...)
			for _, service := range of.Direct.Services {
				c.Services = append(c.Services, service.String())
			}
			for _, target := range of.List {
				if address := target.Address(); address != "" {
					c.Addresses = append(c.Addresses, address)
				}
			}
		}
	}
	c.Targets = config.Distinct(c.Targets)
	c.Message = cmp.Or(why, strings.Join(append(i.messages(&o, host, bool(c.Accepted)), leftOut...), "; "))
	if service, ok := i.Options.ServiceAt(host); ok && i.Exposed(service) && bool(c.Accepted) && c.Message == "" {
		c.Message = fmt.Sprintf("it is the name of Service %s anyway", service)
	}
	return c
}

// targetsOf returns the targets of a claim that answers for a host, and those that are left out (G44).
func (i *DryRun) targetsOf(e *claim.Entry, host string) (targets, leftOut []string) {
	out, _ := i.Resolver.Resolution(host)
	for _, addr := range e.Direct.Addrs {
		targets = append(targets, "address "+addr.String())
	}
	for _, service := range e.Direct.Services {
		targets = append(targets, "Service "+service.String())
	}
	for _, to := range e.Direct.Hosts {
		switch {
		case i.Resolver.Covers(to) || slices.Contains(out.External, to):
			targets = append(targets, "host "+hostname.Plain(to))
		case i.Options.Zone(to) != "":
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: it is in our zone, but nothing of ours has that name", hostname.Plain(to)))
		case out.External == nil:
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: a name that has addresses cannot be an alias", hostname.Plain(to)))
		default:
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: a name is an alias of one, here of %q", hostname.Plain(to), hostname.Plain(out.External[0])))
		}
	}
	return targets, leftOut
}

// messages returns the problems of an owner's claim on a host, the most specific first.
func (i *DryRun) messages(o *object.Ref, host string, answers bool) []string {
	var texts []string
	for _, p := range slices.Concat(i.Resolver.Problems(), i.View.Objects) {
		if *p.Ref == *o && (p.Host == host || p.Host == "" && (!answers || p.Reason.Counted() == string(object.ReasonInvalid))) && !slices.Contains(texts, p.Text) {
			if p.Host == host {
				texts = slices.Insert(texts, 0, p.Text)
			} else {
				texts = append(texts, p.Text)
			}
		}
	}
	if len(texts) > 1 && !answers {
		texts = texts[:1]
	}
	return texts
}

// ofRoute returns the status of the hosts, of the route or its listeners, that are the name or cover it.
func (i *DryRun) ofRoute(r *object.Route, name string) []ClaimStatus {
	parents, hosts := i.Routes.Explain(r, name)
	var named []string // what it asks for, as it is written
	for _, host := range r.Hosts {
		if host != "" && hostname.Matches(host, name) {
			named = append(named, host+".")
		}
	}
	switch {
	case len(hosts) > 0:
	case len(named) > 0:
		hosts = named
	case r.Problems == nil || !slices.Contains(r.Hosts, ""):
		return nil
	}
	why := ""
	if r.Ignored {
		why = ignored
	}
	var all []ClaimStatus
	for _, host := range hosts {
		c := i.claimStatus(r.Ref(r.Kind), host, why)
		c.Parents = parents
		if !c.Accepted && c.Message == "" {
			c.Message = "no listener that it is attached to serves this host"
		}
		all = append(all, c)
	}
	return all
}

// ServiceAt returns the Service whose name a canonical name, or one above it, is or would be by the structure of the
// zones, "" for none.
func (i *DryRun) ServiceAt(name string) (namespace, service string) {
	o := i.Options
	if zone := o.Zone(name); zone != "" && o.Services {
		if labels := hostname.Labels(name, zone); len(labels) > 1 {
			return labels[len(labels)-1], labels[len(labels)-2]
		}
	}
	return "", ""
}
