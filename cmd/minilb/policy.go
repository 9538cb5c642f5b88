package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/cmd/minilb/policy"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

var policyHelp = help{
	synopsis: `Prints a NetworkPolicy for each Service of ours with loadBalancerSourceRanges,
for its pods and the ports that they listen on: it admits these ranges and the
pods of the cluster to them, and everybody to all other ports, as a load
balancer would. The cluster's network plugin enforces it, if it does. A Service
without a policy has a comment that says why.`,
	example: "minilb policy -from 192.168.1.53/32 | kubectl apply -f -",
}

func runPolicy(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	cluster := clusterFlags(flags)
	from := addCorefileFlags(flags)
	var networks []netip.Prefix
	networksFlag(flags, &networks, "from", "further `networks` to admit, separated by commas, such as the nodes',\n"+
		"or that of a DNS server outside the cluster that probes (default none)")
	if err := parse(flags, args, stdout, policyHelp); err != nil {
		return err
	}
	corefile, err := from.read()
	if err != nil {
		return misused("policy", "%v", err)
	}
	newLogger(stderr, false)

	client, _, err := cluster.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it took too long"))
	defer cancel()
	found, note := from.find(ctx, client)
	corefile = cmp.Or(found, corefile)
	results, err := policy.Read(ctx, client, func(service *corev1.Service) bool {
		return slices.ContainsFunc(corefile.Options(), func(o config.Options) bool { return lb.IsOurs(&service.Spec, o.Class, o.DefaultClass) })
	}, networks)
	if err != nil {
		return err
	}
	io.WriteString(stderr, note)
	if len(results) == 0 {
		fmt.Fprintln(stderr, "minilb: no Service of ours has loadBalancerSourceRanges")
	}
	if err := policy.Write(stdout, results); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
