// Package explain reports why a name is answered as it is: its zone, the claims on it with their results, and the
// endpoints behind it, as the DNS server's own code evaluates them.
package explain

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// Explanation is why a name answers what it answers. Names in it have no final dot.
type Explanation struct {
	Name    string   `json:"name"`
	Summary string   `json:"summary"` // one sentence: what is answered, and why not more
	Zone    string   `json:"zone"`    // that the name lies in, "" for none
	About   string   `json:"about"`   // what the name is by the structure of that zone
	Notes   []string `json:"notes"`   // what else there is to know

	Claims    []inspect.ClaimStatus    `json:"claims"`    // on the name and on wildcards that cover it
	Endpoints []translator.Endpoint    `json:"endpoints"` // of the Services behind the name
	Shares    []translator.ShareStatus `json:"shares"`    // of the answers, if each is made of one Service's addresses (L3)
	Answer    Answer                   `json:"answer"`
	Client    *Client                  `json:"client"` // nil if nobody asks about one
}

// The rcodes of an Answer.
const (
	noError  = "NOERROR"
	nxDomain = "NXDOMAIN"
)

// Answer is what queries for the name return now.
type Answer struct {
	Rcode string   `json:"rcode"` // noError, nxDomain, or "" for a name that is passed on
	Own   bool     `json:"own"`   // it has the DNS server's own addresses, which are not known here
	TTL   uint32   `json:"ttl"`   // of the records, or of the negative answer, in seconds; 0 for a name that is passed on
	A     []string `json:"a"`     // all of them: an answer has at most max_answers, at random
	AAAA  []string `json:"aaaa"`
	CNAME string   `json:"cname"` // the name outside whose addresses are given
	SRV   []string `json:"srv"`   // "port target"
	PTR   []string `json:"ptr"`
}

// Explain explains the names, each as the server block answers it that is asked for it. It reads the cluster once for all
// plugin blocks that answer for the names; the client is for what the server does not read, and may be refused everything. It says
// what somebody in the network gets, if that is valid.
func Explain(
	ctx context.Context, cluster *rest.Config, client kubernetes.Interface, corefile *config.Corefile, names []Name, network netip.Prefix,
) ([]*Explanation, error) {
	return explain(ctx, client, corefile, names, network, func(options ...config.Options) ([]*inspect.DryRun, error) {
		return inspect.Cluster(ctx, cluster, corefile.Covered, options...)
	})
}

func explain(
	ctx context.Context, client kubernetes.Interface, corefile *config.Corefile, names []Name, network netip.Prefix,
	run func(...config.Options) ([]*inspect.DryRun, error),
) ([]*Explanation, error) {
	var blocks []int
	var options []config.Options
	for _, name := range names {
		if n, _ := corefile.BlockOf(name.Canonical); !slices.Contains(blocks, n) {
			blocks, options = append(blocks, n), append(options, corefile.Blocks[n].Options)
		}
	}
	runs, err := run(options...)
	if err != nil {
		return nil, err
	}
	var all []*Explanation
	for _, name := range names {
		n, elsewhere := corefile.BlockOf(name.Canonical)
		e := &explainer{
			corefile: corefile, block: corefile.Blocks[n], seen: runs[slices.Index(blocks, n)], client: client, name: name.Canonical, network: network,
		}
		e.explain(ctx, name.Note, elsewhere)
		all = append(all, &e.Explanation)
	}
	return all, nil
}

type explainer struct {
	corefile *config.Corefile
	block    *config.Block
	seen     *inspect.DryRun
	client   kubernetes.Interface
	name     string       // canonical
	network  netip.Prefix // of a client; invalid for none
	Explanation
}

// explain explains the name. A server block without minilb that is asked for it has the zone elsewhere, "" for none.
func (e *explainer) explain(ctx context.Context, note, elsewhere string) {
	e.Name = cmp.Or(hostname.Plain(e.name), ".")
	zone, result, node := e.seen.Lookup(e.name)
	e.Zone = hostname.Plain(zone)
	if zone == "" && result == records.NoData {
		result = records.NameError // D3: only what is claimed is answered there
	}
	e.structure(ctx)
	e.Claims = e.seen.Claims(e.name)
	e.answer(result, node)
	e.shares(node)
	if addresses, ok := records.ReversePrefix(e.name); ok {
		e.reverse(addresses, result)
	} else {
		e.behind(ctx, node)
	}
	if result == records.NameError {
		e.misplaced(ctx)
		e.relative()
	}
	e.summarize(result, node)
	e.unreachable(ctx)
	for _, unavailable := range e.seen.Unavailable() {
		e.Notes = append(e.Notes, unavailable.Message)
	}
	if len(e.Claims) == 0 && result == records.NameError {
		if note := unserved(e.seen.ServedKinds()); note != "" {
			e.Notes = append(e.Notes, note)
		}
	}
	if !e.corefile.Covered(e.name) {
		e.Notes = append(e.Notes, "no server block with minilb is for a zone that the name lies in: the server does not ask minilb for it")
	}
	if e.Zone != "" && hostname.IsMulticast(e.name) {
		e.Notes = append(e.Notes, fmt.Sprintf("zone %s %s", e.Zone, hostname.MulticastOnly))
	}
	if elsewhere != "" {
		e.Summary = fmt.Sprintf("minilb is not asked for it: the Corefile's server block of %s answers, and has no minilb.", cmp.Or(hostname.Plain(elsewhere), "."))
		e.Answer = Answer{}
	}
	if e.network.IsValid() {
		e.whatGets(e.network, node)
	}
	if note != "" {
		e.Notes = append(e.Notes, note)
	}
	e.fill()
}

// unserved returns a note if the Gateway API is installed without some kinds of routes, "" for none.
func unserved(kinds []inspect.ServedKind) string {
	var missing []string
	for _, kind := range kinds {
		if strings.HasSuffix(kind.Kind, "Route") && kind.Version == "" {
			missing = append(missing, kind.Kind)
		}
	}
	if missing == nil || !slices.ContainsFunc(kinds, func(kind inspect.ServedKind) bool { return kind.Version != "" }) {
		return ""
	}
	return fmt.Sprintf("the API server does not serve %s: hosts of such routes cannot be found", strings.Join(missing, " or "))
}

// fill makes lists of what is nil, which JSON would have as null.
func (e *Explanation) fill() {
	e.Notes, e.Claims, e.Endpoints, e.Shares = orEmpty(e.Notes), orEmpty(e.Claims), orEmpty(e.Endpoints), orEmpty(e.Shares)
	for i := range e.Claims {
		c := &e.Claims[i]
		c.Targets, c.Parents = orEmpty(c.Targets), orEmpty(c.Parents)
		for j := range c.Parents {
			c.Parents[j].Listeners = orEmpty(c.Parents[j].Listeners)
		}
	}
	e.Answer.A, e.Answer.AAAA, e.Answer.SRV = orEmpty(e.Answer.A), orEmpty(e.Answer.AAAA), orEmpty(e.Answer.SRV)
	e.Answer.PTR = orEmpty(e.Answer.PTR)
	if c := e.Client; c != nil {
		c.A, c.AAAA, c.Why = orEmpty(c.A), orEmpty(c.AAAA), orEmpty(c.Why)
	}
}

// relative adds a note to a name without a dot if the first zone has it: such a host in an annotation is relative (I10).
func (e *explainer) relative() {
	if e.Zone != "" || dns.CountLabel(e.name) != 1 {
		return
	}
	zone := e.block.Options.Zones[0]
	name := e.name + zone
	switch _, result, _ := e.seen.Lookup(name); {
	case result == records.Found:
		e.Notes = append(e.Notes, fmt.Sprintf("it is not in zone %s: %s is, and is answered", hostname.Plain(zone), hostname.Plain(name)))
	case len(e.seen.Claims(name)) > 0:
		e.Notes = append(e.Notes, fmt.Sprintf("it is not in zone %s: %s is, and is asked for", hostname.Plain(zone), hostname.Plain(name)))
	}
}

func orEmpty[T any](list []T) []T {
	return append([]T{}, list...)
}

func (e *explainer) structure(ctx context.Context) {
	addresses, reverse := records.ReversePrefix(e.name)
	if e.Zone == "" {
		e.About = "in none of the zones: answered if an object claims it"
		if reverse {
			e.About = "in none of the zones: nobody can claim a reverse name"
		}
		return
	}
	zone := dns.Fqdn(e.Zone)
	namespace, service := e.seen.ServiceAt(e.name)
	labels := dns.CountLabel(e.name) - dns.CountLabel(zone)
	switch {
	case labels == 0:
		e.About = "the apex of zone " + e.Zone
	case slices.Contains(e.block.Options.ReverseZones, zone):
		e.About = "in the reverse zone " + e.Zone
		if reverse && addresses.IsSingleIP() {
			e.About += ", the name of address " + addresses.Addr().String()
		}
	case e.isServer():
		e.About = "the name server of zone " + e.Zone
	case service == "":
		label, _, _ := strings.Cut(e.name, ".")
		e.About = fmt.Sprintf("in zone %s, where namespace %q has its Services' names below it", e.Zone, label)
	default:
		e.About = fmt.Sprintf("in zone %s, the name of Service %s/%s", e.Zone, namespace, service)
		if labels > 2 {
			e.About = fmt.Sprintf("in zone %s, below the name of Service %s/%s: that of an endpoint, a port, or a host claimed in that namespace", e.Zone, namespace, service)
		}
		if _, exposed := e.seen.Service(namespace, service); !exposed {
			e.Notes = append(e.Notes, e.hidden(ctx, namespace, service))
		}
	}
}

func (e *explainer) isServer() bool {
	return e.Zone != "" && e.name == inspect.NameServer(dns.Fqdn(e.Zone))
}

func (e *explainer) answer(result records.Result, node *records.Node) {
	if e.Answer.Own = e.isServer(); e.Answer.Own {
		e.Notes = append(e.Notes, "its addresses are those that the DNS server listens on, or those of the property ns: they are not known here")
	}
	switch {
	case result != records.NameError:
		e.Answer.Rcode = noError
	case !e.block.Falls(e.name):
		e.Answer.Rcode = nxDomain
	}
	if e.Answer.Rcode != "" {
		e.Answer.TTL = e.block.TTL
	}
	if result != records.Found {
		return
	}
	if node.TTL != nil { // L2
		e.Answer.TTL = node.TTLOr(0)
		e.Notes = append(e.Notes, fmt.Sprintf("its records have a TTL of %d seconds by annotation %s; others, and negative answers, have %d", e.Answer.TTL, lb.TTLAnnotation, e.block.TTL))
	}
	if e.Answer.CNAME = hostname.Plain(node.Target); e.Answer.CNAME != "" && len(e.block.Options.Addresses) > 0 { // D34
		e.Notes = append(e.Notes, fmt.Sprintf("of the addresses of %s only those in a network of the property addresses are answered", e.Answer.CNAME))
	}
	for _, name := range node.Pointers {
		e.Answer.PTR = append(e.Answer.PTR, hostname.Plain(name))
	}
	if node.Addrs != nil {
		addrs := node.Addrs.Load()
		e.Answer.A, e.Answer.AAAA = texts(addrs.V4), texts(addrs.V6)
	}
	if node.Ports != nil {
		for _, target := range node.Targets(strings.SplitN(e.name, ".", 3)[2], 0) {
			e.Answer.SRV = append(e.Answer.SRV, fmt.Sprintf("%d %s", target.Number, hostname.Plain(target.Name)))
		}
		slices.Sort(e.Answer.SRV)
	}
}

// shares lists how the answers for a host that leads to several Services are shared among them (L3).
func (e *explainer) shares(node *records.Node) {
	for host, of := range e.seen.Hosts {
		if of == node && node != nil {
			e.Shares = e.seen.Shares(host)
			return
		}
	}
}

func texts(addrs []netip.Addr) (all []string) {
	for _, addr := range addrs {
		all = append(all, addr.String())
	}
	return all
}

// behind lists the endpoints of all Services behind the name, and the ports that clients cannot use.
func (e *explainer) behind(ctx context.Context, node *records.Node) {
	var services []string
	if namespace, service := e.seen.ServiceAt(e.name); service != "" {
		services = append(services, namespace+"/"+service)
	}
	for _, c := range e.Claims {
		services = append(services, c.Services...)
	}
	if node != nil && node.Service != "" {
		services = append(services, node.Namespace+"/"+node.Service)
	}
	excluded := e.block.Options.ExcludeNodes
	for _, name := range config.Distinct(services) {
		namespace, service, _ := strings.Cut(name, "/")
		s, exposed := e.seen.Service(namespace, service)
		e.Endpoints = append(e.Endpoints, s.Endpoints...)
		if slices.ContainsFunc(s.Endpoints, func(at translator.Endpoint) bool { return at.Excluded }) { // L6
			e.Notes = append(e.Notes, fmt.Sprintf("endpoints of Service %s on nodes that exclude_nodes %q matches are answered only where there is no other of their family", name, excluded))
		}
		e.Notes = append(e.Notes, s.Problems...)
		if exposed && node != nil && node.Addrs != nil {
			e.Notes = append(e.Notes, e.ports(ctx, namespace, service)...)
		}
	}
}

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
			why := at.State
			if at.Excluded {
				why += ", and whose node exclude_nodes matches"
			}
			e.Notes = append(e.Notes, fmt.Sprintf("Service %s is not answered with its endpoint %s, which is %s", at.Service, addr, why))
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
