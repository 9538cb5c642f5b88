// Package inspect runs a cluster's objects through the DNS server's own code once, for the commands that report what
// becomes of them.
package inspect

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// DryRun is what a DNS server with the same options makes of a cluster at one moment, with the reasons.
type DryRun struct {
	*translator.View
	cluster *cluster.Cluster // shared with those of the other options
	index   *records.Index
}

// Cluster reads the cluster once, which takes seconds if some kind cannot be read, and returns the DryRun of each of the
// options. It fails, with a *kube.Error, if the API server does not answer, or shows no Services or EndpointSlices.
func Cluster(ctx context.Context, config *rest.Config, covered func(host string) bool, options ...config.Options) ([]*DryRun, error) {
	return dryRuns(config, covered, options, func(ts *translator.Translators) error { return ts.ReadOnce(ctx) })
}

// Objects returns the DryRuns of a cluster that has these objects and no others, without an API server. Services,
// EndpointSlices, Ingresses and Namespaces are of their Go types, objects of the Gateway API are
// *unstructured.Unstructured; all others are ignored. A kind of the Gateway API is served in the versions of its objects,
// and not at all if there are none.
func Objects(objects []runtime.Object, covered func(host string) bool, options ...config.Options) ([]*DryRun, error) {
	return dryRuns(&rest.Config{}, covered, options, func(ts *translator.Translators) error {
		ts.Load(objects)
		return nil
	})
}

func dryRuns(config *rest.Config, covered func(host string) bool, options []config.Options, read func(*translator.Translators) error) ([]*DryRun, error) {
	ts, err := translator.New(config, silence{})
	if err != nil {
		return nil, err
	}
	ts.RequireAll()
	var all []*DryRun
	var translators []*translator.Translator
	for _, o := range options {
		var fixed []records.Entry
		for _, zone := range o.Zones {
			fixed = append(fixed, records.Entry{Name: NameServer(zone), Node: &records.Node{Addrs: &records.AddressSet{}}})
		}
		i := &DryRun{cluster: ts.Cluster, index: records.NewIndex(o.AllZones(), fixed...)}
		all, translators = append(all, i), append(translators, translator.NewTranslator(ts, o, i.index, translator.Hooks{Covered: covered}))
	}
	if err := read(ts); err != nil {
		return nil, err
	}
	for n, t := range translators {
		all[n].View = t.View()
	}
	return all, nil
}

// NameServer returns the name of a zone's own name server.
func NameServer(zone string) string { return claim.Nameserver + "." + zone }

// silence is the log of a DryRun, whose caller reports everything.
type silence struct{}

func (silence) Infof(string, ...any) {}

func (silence) Warningf(string, ...any) {}

// ServedKind is a kind of the Gateway API and the version in which it is read.
type ServedKind struct {
	Kind     string               `json:"kind"`    // as in "HTTPRoute"
	Version  string               `json:"version"` // as in "v1", "" if the API server does not serve the kind
	Resource schema.GroupResource `json:"-"`
}

// ServedKinds returns all kinds of the Gateway API, none if they are not read.
func (i *DryRun) ServedKinds() []ServedKind {
	if !i.Options.Gateways {
		return nil
	}
	versions := i.cluster.Versions()
	var all []ServedKind
	for _, kind := range slices.Sorted(maps.Keys(versions)) {
		all = append(all, ServedKind{kind, versions[kind], cluster.Versions[kind][0].GroupResource()})
	}
	return all
}

// Names returns the canonical names of exposed Services and of hosts, of which some are wildcards.
func (i *DryRun) Names() []string {
	var names []string
	for _, service := range i.Services() {
		names = append(names, i.Options.ServiceNames(cache.NewObjectName(service.Namespace, service.Name))...)
	}
	for host, node := range i.Hosts {
		if node != nil && node != records.Transparent {
			names = append(names, host)
		}
	}
	return config.Distinct(names)
}

// Claiming returns the namespaces whose objects claim hosts outside the zones that they may have, in order.
func (i *DryRun) Claiming() []string {
	var namespaces []string
	for e := range i.Resolver.Entries() {
		if slices.ContainsFunc(e.Hosts, func(host string) bool {
			return i.Options.Zone(host) == "" && i.Resolver.Admits(e, host)
		}) {
			namespaces = append(namespaces, e.Namespace)
		}
	}
	return config.Distinct(namespaces)
}

// Lookup finds what is answered for a canonical name, and the zone that it lies in, "" for none.
func (i *DryRun) Lookup(name string) (zone string, result records.Result, node *records.Node) {
	zone = i.index.Zone(name)
	result, node = i.index.Lookup(zone, name)
	return zone, result, node
}

// Annotated is an object, no Service, whose labels and annotations may be ours.
type Annotated struct {
	Kind string
	*object.Meta
}

// Annotated returns those of the kinds that are read.
func (i *DryRun) Annotated() (all []Annotated) {
	for _, namespace := range cluster.NamespacesOf(i.Options) {
		if i.Options.Ingresses {
			all = appendAll(all, "Ingress", i.cluster.Ingresses(namespace).List())
		}
		if !i.Options.Gateways {
			continue
		}
		all = appendAll(all, object.KindGateway, i.cluster.Gateways(namespace).List())
		for _, kind := range cluster.ListenerSetKinds {
			all = appendAll(all, kind, i.cluster.ListenerSets(kind, namespace).List())
		}
		for _, kind := range cluster.RouteKinds {
			all = appendAll(all, kind, i.cluster.Routes(kind, namespace).List())
		}
	}
	return all
}

func appendAll[T interface{ Metadata() *object.Meta }](all []Annotated, kind string, list []T) []Annotated {
	for _, o := range list {
		all = append(all, Annotated{kind, o.Metadata()})
	}
	return all
}

// StatusAddress is an address to which an object's status lets hosts lead.
type StatusAddress struct {
	Kind, Namespace, Name string // of a Gateway or an Ingress
	Address               string // an IP address, or a hostname without its final dot
}

// Addresses returns those of all Gateways and Ingresses that count.
func (i *DryRun) Addresses() []StatusAddress {
	var all []StatusAddress
	add := func(l *object.Targets) {
		for _, target := range l.List {
			if address := target.Address(); address != "" {
				all = append(all, StatusAddress{l.Kind, l.Ref.Namespace, l.Name, address})
			}
		}
	}
	for gw := range i.Routes.Gateways() {
		add(&gw.Targets)
	}
	for c := range i.Ingresses() {
		add(&c.Targets)
	}
	slices.SortFunc(all, func(a, b StatusAddress) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
			strings.Compare(a.Address, b.Address))
	})
	return slices.Compact(all)
}
