package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

var routesHelp = help{
	synopsis: `Prints the static routes that the LAN's router needs: each node's podCIDRs via
the node's first InternalIP of the same family, by node name, IPv4 first.
Nodes without a route are named in comments. Warns on standard error of pods
that live outside their node's podCIDRs.

Formats:
` + formatsHelp() + `

JSON is {"routes":  [{"node", "family", "destination", "gateway"}],
         "skipped": [{"node", "reason"}]}`,
	example: "minilb routes -kubeconfig ~/.kube/config | ssh root@router sh",
}

// formatsHelp returns a line for each format.
func formatsHelp() string {
	var lines []string
	for _, f := range routes.Formats {
		lines = append(lines, fmt.Sprintf("  %-9s  %s", f.Name, f.About))
	}
	return strings.Join(lines, "\n")
}

// routesTimeout is how long reading nodes and pods may take.
const routesTimeout = time.Minute

// runRoutes implements "minilb routes".
func runRoutes(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("routes")
	cluster := clusterFlags(flags)
	name := flags.String("o", "ip", "output `format`")
	gateway := flags.String("gateway", "", "IPv4 `address` of the LAN's own router, which the DHCP formats need for\n"+
		"the default route (default none)")
	iface := flags.String("interface", "", "`name` of the router's interface, for formats that name one (default\n"+
		"lan for openwrt, eth0 for netplan and radvd)")
	if err := parse(flags, args, stdout, routesHelp); err != nil {
		return err
	}
	format, err := routes.Choose(*name)
	if err != nil {
		return misused("routes", "%v", err)
	}
	var router netip.Addr
	if *gateway != "" {
		if router, err = netip.ParseAddr(*gateway); err != nil {
			return misused("routes", "-gateway %q: want an IPv4 address", *gateway)
		}
	}
	if _, err := format.Write(nil, *iface, router); err != nil { // before the cluster is asked
		return misused("routes", "%v", err)
	}
	newLogger(stderr, false)

	client, err := cluster.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, routesTimeout)
	defer cancel()
	nodes, err := routes.Nodes(ctx, client)
	if err != nil {
		return err
	}
	entries := routes.Of(nodes)
	text, err := format.Write(entries, *iface, router)
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, text)
	if err != nil {
		return fmt.Errorf("print routes: %w", err)
	}

	if length := routes.OptionLength(entries); format.Gateway && routes.Splits(length) {
		fmt.Fprintf(stderr, "warning: the option takes %d bytes, which no option holds: the DHCP server must split it (RFC 3396), and not all clients put it together again; use routes on the router, too\n", length)
	}
	strays, err := routes.Strays(ctx, client, nodes)
	if err != nil {
		fmt.Fprintln(stderr, "warning:", err)
	}
	for _, stray := range strays {
		fmt.Fprintln(stderr, "warning:", stray)
	}
	if len(strays) > 0 {
		fmt.Fprintln(stderr, "hint:", routes.StrayHint)
	}
	return nil
}
