package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

var routesHelp = help{
	synopsis: `Prints the static routes that the LAN's router needs: each node's podCIDRs via
the node's first InternalIP of the same family, by node name, IPv4 first.
Nodes without a route are named in comments. Warns on standard error of pods
that live outside their node's podCIDRs.

Formats:
  ip    one "ip route replace" or "ip -6 route replace" per line
  json  {"routes":  [{"node", "family", "destination", "gateway"}],
         "skipped": [{"node", "reason"}]}`,
	example: "minilb routes -kubeconfig ~/.kube/config | ssh root@router sh",
}

// routesTimeout is how long reading nodes and pods may take.
const routesTimeout = time.Minute

// runRoutes implements "minilb routes".
func runRoutes(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("routes")
	cluster := clusterFlags(flags)
	format := flags.String("o", "ip", "output `format`: ip or json")
	if err := parse(flags, args, stdout, routesHelp); err != nil {
		return err
	}
	if *format != "ip" && *format != "json" {
		return misused("routes", "-o %q: choose ip or json", *format)
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
	switch *format {
	case "ip":
		_, err = io.WriteString(stdout, routes.IP(entries, routes.Replace))
	case "json":
		err = routes.JSON(stdout, entries)
	}
	if err != nil {
		return fmt.Errorf("print routes: %w", err)
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
