package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// DryRun is what a Translator with the same options makes of a cluster, at one moment and with
// the reasons. It does not change any more.
type DryRun struct {
	cluster    *cluster.Cluster // shared with those of the other options
	translator *Translator
	index      *records.Index
}

// Inspect reads the cluster once, which takes seconds if some kind cannot be read, and returns the DryRun of each
// of the options. It fails, with a *kube.Error, if the API server does not answer, or shows no Services or
// EndpointSlices.
func Inspect(ctx context.Context, config *rest.Config, hooks Hooks, options ...config.Options) ([]*DryRun, error) {
	ts, all, err := newDryRuns(config, hooks, options)
	if err != nil {
		return nil, err
	}
	if err := ts.readOnce(ctx); err != nil {
		return nil, err
	}
	for _, i := range all {
		i.judge()
	}
	return all, nil
}

// newDryRuns returns those of one Cluster that has read nothing yet.
func newDryRuns(config *rest.Config, hooks Hooks, options []config.Options) (*Translators, []*DryRun, error) {
	ts, err := New(config, silence{})
	if err != nil {
		return nil, nil, err
	}
	ts.RequireAll()
	var all []*DryRun
	for _, o := range options {
		var fixed []records.Entry
		for _, zone := range o.Zones {
			fixed = append(fixed, records.Entry{Name: claim.Nameserver + "." + zone, Node: &records.Node{Addrs: &records.AddressSet{}}})
		}
		index := records.NewIndex(slices.Concat(o.Zones, o.ReverseZones), fixed...)
		all = append(all, &DryRun{cluster: ts.Cluster, index: index, translator: NewTranslator(ts, o, index, hooks)})
	}
	return ts, all, nil
}

// silence is the log of an DryRun, which tells all by itself.
type silence struct{}

func (silence) Infof(string, ...any) {}

func (silence) Warningf(string, ...any) {}

func (silence) Errorf(string, ...any) {}

// readOnce watches until all is known that can be.
func (ts *Translators) readOnce(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ts.Run(watching)
	}()
	defer func() {
		stop()
		<-ended
	}()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for slices.ContainsFunc(ts.all, func(t *Translator) bool { return !t.settled() }) {
		if failure := ts.Failure(); failure != nil {
			return failure
		}
		select {
		case <-ctx.Done():
			var missing []string
			for _, t := range ts.all {
				missing = append(missing, t.Unsynced()...)
			}
			return fmt.Errorf("%s not read: %w", strings.Join(config.Distinct(missing), ", "), context.Cause(ctx))
		case <-poll.C:
		}
	}
	for _, h := range ts.Watches() {
		if h.Optional || h.Known() {
			continue
		}
		if failure := h.Failure(); failure != nil {
			return failure
		}
		return errors.New(h.String() + ": cannot be read")
	}
	return nil
}

// judge publishes what was read, as nothing else does any longer, and keeps the reasons.
func (i *DryRun) judge() {
	t := i.translator
	t.services.mergeDue()
	t.unresolved.Store(true)
	t.publish()
}

// Rejection is a host that is not answered, or not as its object asks for it.
type Rejection struct {
	Kind, Namespace, Name string        // of the object
	Host                  string        // without its final dot, "" if it is about several hosts or none
	Reason                object.Reason // one of those of a Verdict, "" if the host is answered nevertheless
	Text                  string        // what is wrong and what follows, without the object
}

// Rejections returns all of them, in the order of their objects.
func (i *DryRun) Rejections() []Rejection {
	var all []Rejection
	add := func(p *object.Problem) {
		all = append(all, Rejection{Kind: p.Ref.Kind, Namespace: p.Ref.Namespace, Name: p.Ref.Name, Host: hostname.Plain(p.Host), Reason: p.Reason, Text: p.Text})
	}
	for p := range i.translator.problems() {
		add(p)
	}
	for n := range i.translator.last.slices {
		add(&i.translator.last.slices[n])
	}
	slices.SortFunc(all, func(a, b Rejection) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.Host, b.Host), strings.Compare(a.Text, b.Text))
	})
	return slices.Compact(all)
}

// Unavailable is a kind that the API server does not let us read.
type Unavailable struct {
	Resource string // as in "ingresses.networking.k8s.io"
	Message  string // one line, with what to do
}

// Unavailable returns those kinds.
func (i *DryRun) Unavailable() []Unavailable {
	var all []Unavailable
	t := i.translator
	for _, h := range slices.Concat(t.watching, t.slices, t.optional) {
		if !h.Unavailable() {
			continue
		}
		u := Unavailable{Resource: h.String(), Message: h.String() + ": cannot be read"}
		if failure := h.Failure(); failure != nil {
			u.Message = failure.Text
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Unavailable) int { return strings.Compare(a.Resource, b.Resource) })
	return all
}

// ServedKind is a kind of the Gateway API and the version in which it is read.
type ServedKind struct {
	Kind     string               `json:"kind"`    // as in "HTTPRoute"
	Version  string               `json:"version"` // as in "v1", "" if the API server does not serve the kind
	Resource schema.GroupResource `json:"-"`
}

// ServedKinds returns the kinds of the Gateway API, if they are read at all.
func (i *DryRun) ServedKinds() []ServedKind {
	if !i.translator.options.Gateways {
		return nil
	}
	versions := i.cluster.Versions()
	var all []ServedKind
	for _, kind := range slices.Sorted(maps.Keys(versions)) {
		all = append(all, ServedKind{kind, versions[kind], cluster.VersionsOf(kind)[0].GroupResource()})
	}
	return all
}

// Names returns all names that are answered with addresses, without those of single endpoints: of
// the exposed Services and of hosts, with their final dots. Some are wildcards.
func (i *DryRun) Names() []string {
	t := i.translator
	names := map[string]bool{}
	for service := range t.services.state.exposed {
		for _, name := range t.options.ServiceNames(service) {
			names[name] = true
		}
	}
	for host, node := range t.last.hosts {
		if node != nil && node != records.Transparent {
			names[host] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Claiming returns the namespaces whose objects claim hosts outside the zones that they may have, in order.
func (i *DryRun) Claiming() []string {
	namespaces := map[string]bool{}
	for e := range i.translator.resolver.Entries() {
		if slices.ContainsFunc(e.Hosts, func(host string) bool {
			return i.translator.options.Zone(host) == "" && i.translator.resolver.Admits(e, host)
		}) {
			namespaces[e.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(namespaces))
}

// Lookup finds what is answered for a canonical name, and the zone that it lies in, "" for none.
func (i *DryRun) Lookup(name string) (zone string, result records.Result, node *records.Node) {
	zone = i.index.Zone(name)
	result, node = i.index.Lookup(zone, name)
	return zone, result, node
}

// ServiceStatus is a Service that is served.
type ServiceStatus struct {
	Namespace, Name string
	Endpoints       []Endpoint // by address
	Problems        []string   // with its EndpointSlices
}

// Endpoint is one address of a Service.
type Endpoint struct {
	Service  string     `json:"service"` // namespace/name
	Addr     netip.Addr `json:"address"`
	Hostname string     `json:"hostname"` // its own label, "" if it has none
	Node     string     `json:"node"`     // "" if its slice names none
	State    string     `json:"state"`    // one of object's
	Answered bool       `json:"answered"` // it is among the addresses that the Service is answered with
}

// Services returns the exposed Services by namespace and name.
func (i *DryRun) Services() []ServiceStatus {
	var all []ServiceStatus
	for _, name := range slices.SortedFunc(maps.Keys(i.translator.services.state.exposed), object.CompareNames) {
		service, _ := i.Service(name.Namespace, name.Name)
		all = append(all, service)
	}
	return all
}

// Service returns an exposed Service, and whether there is one of that name.
func (i *DryRun) Service(namespace, name string) (ServiceStatus, bool) {
	t, key := i.translator, cache.NewObjectName(namespace, name)
	e := t.services.state.exposed[key]
	if e == nil {
		return ServiceStatus{}, false
	}
	s := ServiceStatus{Namespace: namespace, Name: name}
	for _, slice := range t.services.state.slicesOf[key] {
		for _, p := range slice.Problems {
			s.Problems = append(s.Problems, p.Ref.String()+": "+p.Text)
		}
	}
	all, _ := entriesOf(t.services.state.slicesOf[key])
	slices.SortFunc(all, func(a, b entry) int { return a.Compare(&b.Endpoint) })
	u, _ := usableOf(t.services.state.slicesOf[key])
	answered := e.addrs.Load()
	for _, of := range all {
		s.Endpoints = append(s.Endpoints, Endpoint{
			Service: key.String(), Addr: of.Addr, Hostname: of.Hostname, Node: of.Node,
			State: of.Conditions.String(), Answered: u.Takes(&of) && answered.Has(of.Addr),
		})
	}
	slices.Sort(s.Problems)
	return s, true
}
