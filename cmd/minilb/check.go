package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/cmd/minilb/check"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

var checkHelp = help{
	synopsis: `Reads the cluster once and prints what keeps Services and hosts from being
reached, worst first: the object, the reason and the fix. It writes nothing. It
needs cluster-admin; with ClusterRole "view" it reports less.

With -server it also asks that DNS server for every name and compares. An answer
may be a subset of the right addresses; one that differs is asked for again a
second later.

Exit status: 0 without errors and warnings, 1 with some, 2 if the cluster cannot
be read or the command line is wrong.

JSON is {"findings":   [{"severity", "kind", "namespace", "name",
                         "reason", "text", "fix"}],
         "counts":     {"error", "warning", "notice"},
         "gatewayAPI": [{"kind", "version"}]}
severity is "error", "warning" or "notice"; namespace is "" for objects without
one, version is "" for a kind of the Gateway API that is not served.`,
	example: "minilb check -kubeconfig ~/.kube/config -server 192.168.1.53",
}

func runCheck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	cluster := clusterFlags(flags)
	from := addCorefileFlags(flags)
	var options check.Options
	flags.StringVar(&options.DNSAccount, "dns-account", check.Auto, "the DNS server's ServiceAccount, as `namespace/name`, whose permissions\n"+
		"are checked; auto for those labelled as in deploy/,\nempty for none")
	flags.StringVar(&options.ControllerAccount, "controller-account", check.Auto, "the controller's ServiceAccount, as `namespace/name`,\nlikewise")
	networksFlag(flags, &options.LAN.Nodes, "nodes-in", "`networks` of the LAN that nodes are in, separated by commas: podCIDRs in\n"+
		"them need no routes (default what their InternalIPs have in common)")
	withinFlag(flags, &options.LAN)
	podsFlag(flags, &options.LAN)
	server := flags.String("server", "", "`address` of a DNS server to compare with, and its port if not 53\n(default none)")
	format := flags.String("o", "text", "output `format`, text or json")
	if err := parse(flags, args, stdout, checkHelp); err != nil {
		return err
	}
	for _, flag := range []struct{ name, account string }{{"-dns-account", options.DNSAccount}, {"-controller-account", options.ControllerAccount}} {
		if namespace, name, _ := strings.Cut(flag.account, "/"); flag.account != "" && flag.account != check.Auto &&
			(len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0) {
			return misused("check", "%s %q: want NAMESPACE/NAME, auto or nothing", flag.name, flag.account)
		}
	}
	var err error
	if *server != "" {
		if options.Server, err = check.Server(*server); err != nil {
			return misused("check", "-server %v", err)
		}
	}
	write, known := map[string]func(*check.Report, io.Writer) error{"text": (*check.Report).Text, "json": (*check.Report).JSON}[*format]
	if !known {
		return misused("check", "-o %q: choose text or json", *format)
	}
	if options.Corefile, err = from.read(); err != nil {
		return misused("check", "%v", err)
	}
	newLogger(stderr, false)

	client, config, err := cluster.client()
	if err != nil {
		return failed(err, 2)
	}
	options.LAN.Server = kube.Host(config)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	found, note := from.find(ctx, client)
	options.Corefile = cmp.Or(found, options.Corefile)
	options.Guessed = from.path == "" && found == nil
	report, err := check.Run(ctx, config, options)
	if err != nil {
		return failed(err, 2)
	}
	io.WriteString(stderr, note)
	if err := write(report, stdout); err != nil {
		return failed(fmt.Errorf("print what was found: %w", err), 2)
	}
	if !report.Clean() {
		return &failure{status: 1}
	}
	return nil
}
