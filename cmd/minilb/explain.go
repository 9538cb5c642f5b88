package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/minilb/minilb/cmd/minilb/explain"
)

var explainHelp = help{
	synopsis: `Prints why names are answered as they are: the zone of each, every object that
claims it with the result, for routes at each parentRef and listener, the
endpoints behind it, and what a query returns now. It reads the cluster once,
as the DNS server does, with the permissions of the kubeconfig.
NAMESPACE/SERVICE stands for that Service's name in the first zone, an address
for its reverse name, and a URL for its host.

JSON is for each name {"name", "summary", "zone", "about", "notes":
 [text], "claims": [{"kind", "namespace", "name", "created", "host", "verdict",
   "leads": [text], "why", "parents": [{"parent", "why",
     "listeners": [{"name", "hostname", "port", "why"}]}]}],
 "endpoints": [{"service", "address", "hostname", "node", "zone", "state",
   "answered", "excluded"}],
 "answer": {"rcode", "own", "a", "aaaa", "cname", "srv", "ptr"},
 "client": {"network", "a", "aaaa", "ordered", "why": [text]}}; "rcode" is
empty for a name that is passed on, "why" if no reason is needed; "client" is
null without -client.`,
	example:   "minilb explain -corefile /etc/minilb/Corefile mqtt.example.org",
	arguments: "NAME...",
}

func runExplain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	cluster := clusterFlags(flags)
	from := addCorefileFlags(flags)
	var network netip.Prefix
	flags.Func("client", "`address` of a client: what it gets, and why; or the network that its\n"+
		"resolver sends (EDNS client subnet) (default none)", func(text string) (err error) {
		network, err = explain.ParseClient(text)
		return err
	})
	format := flags.String("o", "text", "output `format`: text or json")
	if err := parse(flags, args, stdout, explainHelp); err != nil {
		return err
	}
	if *format != "text" && *format != "json" {
		return misused("explain", "-o %q: choose text or json", *format)
	}
	corefile, err := from.read()
	if err != nil {
		return misused("explain", "%v", err)
	}
	if _, err := explain.Names(flags.Args(), corefile); err != nil {
		return misused("explain", "%v", err)
	}
	newLogger(stderr, false)

	client, config, err := cluster.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it took too long"))
	defer cancel()
	found, note := from.find(ctx, client)
	corefile = cmp.Or(found, corefile)
	names, err := explain.Names(flags.Args(), corefile)
	if err != nil {
		return misused("explain", "%v", err)
	}
	explanations, err := explain.Explain(ctx, config, client, corefile, names, network)
	if err != nil {
		return err
	}
	io.WriteString(stderr, note)
	for i, explanation := range explanations {
		if *format == "json" {
			err = explanation.JSON(stdout)
		} else {
			err = explanation.Text(stdout, i > 0)
		}
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}
