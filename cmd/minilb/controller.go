package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/cmd/minilb/controller"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/version"
)

var controllerHelp = help{
	synopsis: `Sets status.loadBalancer.ingress of every Service of type LoadBalancer and of
our class to the hostname <service>.<namespace>.<domain>. Prints the static
routes to the pods at start, and logs which nodes have a ready DNS server, for
the LAN's resolver. Any number of controllers may run at a time.

Writes an Event on each object that has a problem, such as a host that belongs
to another namespace; "kubectl describe" shows it. Hosts are checked against the
flags, or against the DNS server's Corefile given by -corefile.

With -cleanup it removes these hostnames, of any domain, from the Services of
the class, prints the names of the Services and exits. Stop all controllers
before: a running one writes the hostnames again.`,
	example: "minilb controller -kubeconfig ~/.kube/config -domain home.example.org",
}

const maxResync = 365 * 24 * 60 * 60 // seconds: more than a year is a typo

func runController(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("controller", flag.ContinueOnError)
	cluster := clusterFlags(flags)
	domain := flags.String("domain", lb.DefaultDomain, "DNS `domain` below which Services are named")
	var options controller.Options
	flags.StringVar(&options.Class, "class", lb.DefaultClass, "`name` of our spec.loadBalancerClass")
	flags.BoolVar(&options.DefaultClass, "default-class", false, "also manage Services without a class (default false)")
	cleanup := flags.Bool("cleanup", false, "remove what controllers have written and exit (default false)")
	corefile := flags.String("corefile", "", "`path` of the DNS server's Corefile, to check hosts for Events\n(default: built from -domain, -class and -default-class)")
	events := flags.Bool("events", true, "write Events about the problems of objects")
	resync := flags.Int("resync", 300, "`seconds` after which every Service is checked again;\n0 is never")
	flags.StringVar(&options.Health, "health", ":8080", "`address` to serve /livez, /readyz, /healthz and /metrics on;\nempty for none")
	withinFlag(flags, &options.LAN)
	podsFlag(flags, &options.LAN)
	verbose := flags.Bool("v", false, "log more (default false)")
	if err := parse(flags, args, stdout, controllerHelp); err != nil {
		return err
	}
	build := version.Current()
	options.Version, options.Revision = build.Version, build.Revision
	options.Resync = time.Duration(*resync) * time.Second
	var err error
	if options.Domain, err = lb.Domain(*domain); err != nil {
		return misused("controller", "-domain: %v", err)
	}
	if problems := validation.IsQualifiedName(options.Class); len(problems) > 0 {
		return misused("controller", "-class %q is not a valid loadBalancerClass: %s", options.Class, problems[0])
	}
	if *resync < 0 || *resync > maxResync {
		return misused("controller", "-resync %d: want seconds from 0 (never) to %d", *resync, maxResync)
	}

	var unread error // the Corefile may be complete in the DNS server's own pod only
	if *events && !*cleanup {
		parsed, err := readCorefile(*corefile, options.Domain, options.Class, options.DefaultClass)
		if _, is := errors.AsType[*fs.PathError](err); is {
			return err
		}
		if unread = err; err == nil {
			options.Claims = parsed.Options()
			options.TTL, _ = parsed.TTL(func(o *config.Options) bool { return o.Class == options.Class })
		}
	}
	client, config, err := cluster.client()
	if err != nil {
		return err
	}
	options.LAN.Server = kube.Host(config)
	options.Namespace = kube.Namespace(lb.DefaultNamespace)
	log := newLogger(stderr, *verbose)
	if *cleanup {
		return controller.Cleanup(ctx, client, options, stdout)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // saves memory at almost no cost: little is allocated once the cluster is known
	}
	c, err := controller.New(client, config, options, log, stdout)
	if err != nil {
		return err
	}
	if unread != nil {
		log.Warn("no events are written, as hosts cannot be checked without the Corefile; statuses are: " + unread.Error())
	}
	return c.Run(ctx)
}
