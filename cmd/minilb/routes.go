package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/cmd/minilb/routes/rtnl"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

var routesHelp = help{
	synopsis: `Prints the static routes that the LAN's router needs: each node's pod networks
via the node's first InternalIP of the same family, by node name, IPv4 first.
Nodes without a route appear in comments, with the reason. A pod network gets no
route if it contains the address of a node, of the API server or of the LAN's
router (-gateway), which the route would cut off, if it is not a private
network, or if it is outside of -within. Warns on standard error of pods outside
of their node's pod networks.

-pods names what assigns the pod networks: podcidrs reads spec.podCIDRs of
Nodes, ovn and kube-router their annotations, cilium CiliumNodes, calico
BlockAffinities and IPAMBlocks. auto compares them with the addresses of pods
behind Services, and prints which it takes and why; no route then leads to a pod
of another node. To list CiliumNodes or Calico's blocks needs a right that is
not in the base: apply deploy/kustomize/components/cilium or calico.

With -watch it continues with a line for each route that is added, changed or
removed with a node or one of its pod networks, in the formats ip, json,
routeros and frr. The routes stay while the API server is away.

With -apply it updates the routing table of this Linux host instead, and prints
the changes. Its routes are those that "ip route show proto 109" lists; it
changes no others. It adds none to a destination that has another route, nor
one that would cut off this host or the next hop of another route. Of a node's
InternalIPs it uses one on a network of this host. It restores routes that are
removed, and leaves its routes when it ends. It needs root or CAP_NET_ADMIN.
-cleanup removes them all, without a cluster.

With -o onlink it prints a route to the whole pod network after -within, for the
router or a client, which nodes that come and go do not change. The nodes must
answer ARP for their pods (proxy_arp), and it is for IPv4 only. Where the pods'
network is within the LAN's own, clients need no route:
deploy/recipes/no-routes.md.

If only the router has the routes, traffic is asymmetric: the router never sees
the replies. A firewall there must accept LAN-to-podCIDR traffic statelessly, or
the clients must get the routes by option 121.

Formats:
` + formatsHelp(routes.Formats, func(f routes.Format) (string, string) { return f.Name, f.About }) + `
The LAN's resolver needs to know where our DNS servers are. In these formats
the lines for it are printed instead of routes, for the nodes whose server is
ready. They cannot be watched: print them again when nodes come or go.
` + formatsHelp(routes.ResolverFormats, func(f routes.ResolverFormat) (string, string) { return f.Name, f.About }) + `
JSON is {"routes":  [{"node", "family", "destination", "gateway"}],
         "skipped": [{"node", "reason"}]}
and with -watch, a line each,
        {"event", "node", "family", "destination", "gateway"}
or      {"event", "node", "reason"}
where an event is "add", "replace" or "delete", or "skip" with a reason.`,
	example: `minilb routes -kubeconfig ~/.kube/config | ssh root@router sh`,
}

func formatsHelp[F any](formats []F, about func(F) (string, string)) string {
	var lines strings.Builder
	for _, f := range formats {
		name, program := about(f)
		fmt.Fprintf(&lines, "  %-14s  %s\n", name, program)
	}
	return lines.String()
}

const routesTimeout = time.Minute // for reading nodes and pods

type routesRun struct {
	format  routes.Format
	options routes.Options
	lan     routes.LAN
	clients *podnetworks.Clients
	stdout  io.Writer

	mu     sync.Mutex // of stderr
	stderr io.Writer
}

func runRoutes(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("routes", flag.ContinueOnError)
	cluster := clusterFlags(flags)
	r := &routesRun{stdout: stdout, stderr: stderr}
	name := flags.String("o", "ip", "output `format`")
	gateway := flags.String("gateway", "", "`address` of the LAN's own router: a podCIDR that contains it gets no\n"+
		"route. The DHCP formats need it, of IPv4, for their default route, and\n"+
		"frr-k8s for its BGP sessions (default none)")
	flags.StringVar(&r.options.Interface, "interface", "", "`name` of the router's interface to the LAN, for formats that name one;\n"+
		"dnsmasq and onlink need it (default lan for openwrt, opnsense and\n"+
		"pfsense, eth0 for netplan and radvd), or for vyos-dhcp of its shared\n"+
		"network (default LAN)")
	networksFlag(flags, &r.lan.Nodes, "nodes-in", "`networks`, separated by commas: of a node's several InternalIPs one in\n"+
		"them is the next hop (default the node's first)")
	withinFlag(flags, &r.lan)
	podsFlag(flags, &r.lan)
	servers := serversFlags(flags)
	subnet := flags.String("subnet", "", "IPv4 `prefix` of the LAN, which vyos-dhcp needs (default none)")
	flags.Func("asn", "`number` of the nodes' autonomous system, for frr-k8s (default 64512)", func(text string) error {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil || number == 0 {
			return errors.New("want a number from 1 to 4294967295")
		}
		r.options.ASN = uint32(number)
		return nil
	})
	watch := flags.Bool("watch", false, "continue, and print what changes (default false)")
	apply := flags.Bool("apply", false, "update the routing table of this host (default false)")
	cleanup := flags.Bool("cleanup", false, "remove what -apply has added and exit; stop it before (default false)")
	if err := parse(flags, args, stdout, routesHelp); err != nil {
		return err
	}
	if err := exclusive(flags); err != nil {
		return misused("routes", "%v", err)
	}
	resolver, is, err := servers.choose(*name, flags)
	if err != nil {
		return misused("routes", "%v", err)
	}
	if !is {
		if err := r.choose(*name, *gateway, *subnet, *watch); err != nil { // before anything is read
			return misused("routes", "%v", err)
		}
	}
	if *apply || *cleanup {
		if err := rtnl.Check(); err != nil {
			return err
		}
	}
	if *cleanup {
		return rtnl.Cleanup(stdout)
	}
	newLogger(stderr, false)
	client, config, err := cluster.client()
	if err != nil {
		return err
	}
	r.lan.Server = kube.Host(config)
	if r.clients, err = podnetworks.NewClients(config); err != nil {
		return err
	}
	switch {
	case is:
		return r.printServers(ctx, client, resolver, servers)
	case *apply:
		return r.apply(ctx, client)
	case *watch:
		return r.watch(ctx, client)
	default:
		return r.print(ctx, client)
	}
}

func exclusive(flags *flag.FlagSet) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, with := range []struct{ name, without string }{
		{"apply", "cleanup watch o interface subnet asn"}, {"cleanup", "watch o interface gateway subnet asn nodes-in within pods"},
	} {
		for other := range strings.FieldsSeq(with.without) {
			if given[with.name] && given[other] {
				return fmt.Errorf("-%s and -%s exclude each other: leave one out", with.name, other)
			}
		}
	}
	return nil
}

// choose sets the format, which must have lines of changes for -watch, and its options.
func (r *routesRun) choose(format, gateway, subnet string, watch bool) (err error) {
	if r.format, err = routes.FormatByName(format); err != nil {
		return err
	}
	if subnet != "" {
		lan, err := netip.ParsePrefix(subnet)
		if err != nil {
			return fmt.Errorf("-subnet %q: want an IPv4 prefix, such as 192.168.1.0/24", subnet)
		}
		r.options.Subnet = lan.Masked()
	}
	if gateway != "" {
		router, err := netip.ParseAddr(gateway)
		if err != nil || router.Zone() != "" {
			return fmt.Errorf("-gateway %q: want an address, such as 192.168.1.1", gateway)
		}
		r.options.Gateway = router.Unmap()
		r.lan.Router = r.options.Gateway
	}
	if r.format.OnLink && !slices.ContainsFunc(r.lan.Within, func(network netip.Prefix) bool { return network.Addr().Is4() }) {
		return fmt.Errorf("name the cluster's IPv4 pod network with -within, such as 10.244.0.0/16: %s needs it, as the API server does not have it", format)
	}
	if watch {
		if _, err := r.format.WriteChanges(nil); err != nil {
			return err
		}
	}
	return r.format.Check(r.options)
}

func (r *routesRun) warn(line ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.stderr, printable.Line(strings.TrimSuffix(fmt.Sprintln(line...), "\n")))
}

// advise writes a warning or a hint for people to standard error, wrapped for a terminal.
func (r *routesRun) advise(title, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	io.WriteString(r.stderr, wordwrap.Wrap(title+": ", strings.Repeat(" ", len(title)+2), text))
}

func (r *routesRun) print(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, routesTimeout)
	defer cancel()
	nodes, err := routes.ListNodes(ctx, client)
	if err != nil {
		return err
	}
	found, err := r.clients.Read(ctx, r.lan.Provider)
	if err != nil {
		return err
	}
	lan, err := r.lan.Locate(ctx, client)
	if err != nil {
		r.warn("warning:", err)
	}
	pods, unseen := routes.ReadPods(ctx, client, nodes)
	lan, nodes, choice := lan.Assign(nodes, found, pods)
	entries := lan.FromNodes(nodes)
	if r.format.OnLink {
		if entries, err = lan.OnLink(nodes); err != nil {
			return err
		}
		if tunnel := routes.Tunnel(nodes); tunnel != "" {
			r.advise("warning", tunnel+" gives each node routes to all pods that leave the LAN, so that all nodes answer ARP for each pod: "+routes.TunnelHint)
		}
	}
	text, wrong := r.format.Write(entries, r.options)
	if _, err = io.WriteString(r.stdout, text); err != nil {
		return fmt.Errorf("print routes: %w", err)
	}
	if wrong != nil {
		r.warnSkipped(routes.Changes(nil, entries))
		return wrong
	}
	if r.format.DHCP() {
		if length := routes.OptionLength(entries); length > routes.MaxOption {
			r.advise("warning", fmt.Sprintf("the option takes %d bytes, more than one option holds: the DHCP server must split it (RFC 3396), and not all clients can join the parts; give the router the routes, too", length))
		}
	}
	if r.format.Hint != "" && slices.ContainsFunc(entries, func(e routes.Entry) bool { return e.Problem == "" }) {
		r.advise("hint", r.format.Hint)
	}
	r.warnChoice(choice)
	if choice.Moves && !r.format.OnLink {
		r.advise("hint", "pod networks of "+string(choice.Provider)+" come and go, so that these routes get stale: -watch and -apply follow them")
	}
	for _, malformed := range choice.Malformed {
		r.warn("warning:", malformed)
	}
	r.warnOutside(choice, lan.Pods(nodes).Outside(pods), unseen)
	return nil
}

// warnChoice reports what the routes are made of (R20).
func (r *routesRun) warnChoice(choice podnetworks.Choice) { r.warn("minilb:", choice) }

// warnOutside warns of pods that the routes do not reach (R3).
func (r *routesRun) warnOutside(choice podnetworks.Choice, outside []routes.PodOutsidePodCIDR, err error) {
	if err != nil {
		r.warn("warning:", err)
	}
	for _, node := range outside {
		r.advise("warning", node.String())
	}
	if len(outside) > 0 {
		r.advise("hint", routes.OutsideHint(choice))
	}
}
