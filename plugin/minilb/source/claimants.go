package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Claimant is an object that asks for a host, and what has become of that.
type Claimant struct {
	Kind, Namespace, Name string
	Created               time.Time
	Host                  string   // that it asks for, without its final dot: a name, or a wildcard that covers it
	Answers               bool     // its targets are among what the host is answered with
	Leads                 []string // to what, if it answers
	Services              []string // those of them that are Services, as namespace/name
	Addresses             []string // IP addresses and hostnames of its status, if it answers
	Why                   string   // why it does not answer, or what else there is to say; may be ""
	Parents               []gateway.ParentStatus
}

// Claimants returns the objects that ask for a canonical name or for a wildcard that covers it, those
// that answer first, then by host, age and name. Objects that are told to be ignored, or that are of
// other classes, are among them.
func (i *Inspection) Claimants(name string) []Claimant {
	var all []Claimant
	options := &i.translator.options
	for _, namespace := range cluster.NamespacesOf(options) {
		for _, s := range i.cluster.Services(namespace).List() {
			for _, host := range i.hostsOf(s) {
				if hostname.Matches(host, name) {
					all = append(all, i.ofService(s, host))
				}
			}
		}
		if options.Ingresses {
			for _, g := range i.cluster.Ingresses(namespace).List() {
				for _, host := range written(g.Hosts) {
					if hostname.Matches(host, name) {
						all = append(all, i.ofIngress(g, host))
					}
				}
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
	slices.SortFunc(all, func(a, b Claimant) int {
		return cmp.Or(-before(a.Answers, b.Answers), cmp.Compare(len(b.Host), len(a.Host)), strings.Compare(b.Host, a.Host), a.Created.Compare(b.Created),
			strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name), object.KindRank[a.Kind]-object.KindRank[b.Kind])
	})
	return all
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
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

// written returns those hosts, each once, that can be read as names.
func written(hosts []string) []string {
	var all []string
	for _, text := range hosts {
		if host, err := hostname.Parse(text); err == nil && !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	return all
}

func (i *Inspection) hostsOf(s *object.Service) []string {
	if c := claim.FromService(&i.translator.options, s); c != nil {
		return c.Hosts
	}
	return nil
}

func (i *Inspection) ofService(s *object.Service, host string) Claimant {
	o := &i.translator.options
	c := i.claimant(s.Ref("Service"), host)
	switch {
	case s.Ignored:
		c.Why = ignored
	case !o.Services:
		c.Why = "Services are not among the resources that are read"
	case !i.translator.exposes(s):
		c.Why = fmt.Sprintf("it is not of class %q: %s", o.Class, classOf(s))
	}
	return c
}

const ignored = "label minilb/ignore makes it absent"

// classOf says what class a Service has.
func classOf(s *object.Service) string {
	if s.Class == nil {
		return "it has no spec.loadBalancerClass"
	}
	return fmt.Sprintf("its spec.loadBalancerClass is %q", printable.Shorten(*s.Class))
}

func (i *Inspection) ofIngress(g *object.Ingress, host string) Claimant {
	o := &i.translator.options
	c := i.claimant(g.Ref("Ingress"), host)
	switch {
	case g.Ignored:
		c.Why = ignored
	case !claim.SelectsIngress(o, g) && g.Classes == nil:
		c.Why = "it has no class, and only those of ingress_classes count"
	case !claim.SelectsIngress(o, g):
		c.Why = fmt.Sprintf("its class %q is not among ingress_classes", printable.Shorten(strings.Join(g.Classes, ", ")))
	}
	return c
}

// claimant returns what the resolver has made of an object's claim on a host.
func (i *Inspection) claimant(o object.Ref, host string) Claimant {
	c := Claimant{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Created: time.Unix(o.Created, 0).UTC(), Host: hostname.Plain(host)}
	entries := i.translator.resolver.Own(host)
	if i.translator.last.hosts[host] != nil {
		entries = append(entries, i.translator.resolver.Counting(host)...)
	}
	var leftOut []string
	for _, of := range entries {
		if of.Ref == o {
			leads, without := i.leadsOf(of, host)
			c.Answers, c.Leads, leftOut = c.Answers || len(leads) > 0, append(c.Leads, leads...), append(leftOut, without...)
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
	slices.Sort(c.Leads)
	c.Leads = slices.Compact(c.Leads)
	c.Why = strings.Join(append(i.why(&o, host, c.Answers), leftOut...), "; ")
	if service, ok := i.translator.options.ServiceAt(host); ok && i.translator.services.state.exposed[service] != nil && c.Answers && c.Why == "" {
		c.Why = fmt.Sprintf("it is the name of Service %s anyway", service)
	}
	return c
}

// leadsOf says where the targets of a claim that answers for a host are, and which are left out (G44).
func (i *Inspection) leadsOf(e *claim.Entry, host string) (leads, leftOut []string) {
	out, _ := i.translator.resolver.Resolution(host)
	for _, addr := range e.Direct.Addrs {
		leads = append(leads, "address "+addr.String())
	}
	for _, service := range e.Direct.Services {
		leads = append(leads, "Service "+service.String())
	}
	for _, to := range e.Direct.Hosts {
		switch {
		case i.translator.resolver.Covers(to) || slices.Contains(out.External, to):
			leads = append(leads, "host "+hostname.Plain(to))
		case i.translator.options.Zone(to) != "":
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: it is in our zone, but nothing of ours has that name", hostname.Plain(to)))
		case out.External == nil:
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: a name that has addresses cannot be an alias", hostname.Plain(to)))
		default:
			leftOut = append(leftOut, fmt.Sprintf("its hostname %q is left out: a name is an alias of one, here of %q", hostname.Plain(to), hostname.Plain(out.External[0])))
		}
	}
	return leads, leftOut
}

// why returns what was found wrong with an owner's claim on a host, the most telling first.
func (i *Inspection) why(o *object.Ref, host string, answers bool) []string {
	var texts []string
	add := func(p *object.Problem) {
		if *p.Ref == *o && (p.Host == host || p.Host == "" && (!answers || p.Reason.Counted() == string(object.ReasonInvalid))) && !slices.Contains(texts, p.Text) {
			if p.Host == host {
				texts = slices.Insert(texts, 0, p.Text)
			} else {
				texts = append(texts, p.Text)
			}
		}
	}
	for p := range i.translator.resolver.Problems() {
		add(p)
	}
	for n := range i.translator.last.objects {
		add(&i.translator.last.objects[n])
	}
	if len(texts) > 1 && !answers {
		texts = texts[:1]
	}
	return texts
}

// ofRoute returns what has become of a route's hosts that are the name or cover it: of those that it
// names, and of those that it takes from its listeners.
func (i *Inspection) ofRoute(r *object.Route, name string) []Claimant {
	parents, hosts := i.translator.routes.Explain(r, name)
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
	var all []Claimant
	for _, host := range hosts {
		c := i.claimant(r.Ref(r.Kind), host)
		c.Parents = parents
		if !c.Answers && c.Why == "" {
			c.Why = "no listener that it is attached to serves this host"
		}
		if r.Ignored {
			c.Why = ignored
		}
		all = append(all, c)
	}
	return all
}

// Structure says what a canonical name is by the structure of the zones: the Service whose name it
// is or would be, and its zone, "" if it lies in none.
func (i *Inspection) Structure(name string) (zone, namespace, service string) {
	o := &i.translator.options
	for _, reverse := range o.ReverseZones {
		if hostname.InZone(name, reverse) {
			return reverse, "", ""
		}
	}
	zone = o.Zone(name)
	if zone == "" || !o.Services {
		return zone, "", ""
	}
	switch labels := hostname.Labels(name, zone); len(labels) {
	case 0, 1:
	default:
		namespace, service = labels[len(labels)-1], labels[len(labels)-2]
	}
	return zone, namespace, service
}
