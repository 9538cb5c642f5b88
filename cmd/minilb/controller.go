package main

import (
	"context"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/cmd/minilb/controller"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/version"
)

var controllerHelp = help{
	synopsis: `Keeps status.loadBalancer.ingress of every Service of type LoadBalancer and of
our class at the hostname <service>.<namespace>.<domain>. Prints the static
routes to the pods at start. Any number of controllers may run at a time.

With -cleanup it removes these hostnames again, of whatever domain, from the
Services of the class given, prints their names and exits. Stop the controllers
before: one that runs writes the hostnames anew.`,
	example: "minilb controller -kubeconfig ~/.kube/config -domain home.example.org",
}

// maxResync is, in seconds, a year: more is a slip.
const maxResync = 365 * 24 * 60 * 60

// runController implements "minilb controller".
func runController(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("controller")
	cluster := clusterFlags(flags)
	domain := flags.String("domain", lb.DefaultDomain, "DNS `domain` below which Services are named")
	class := flags.String("class", lb.DefaultClass, "`name` of the spec.loadBalancerClass that is ours")
	defaultClass := flags.Bool("default-class", false, "take Services without a class, too (default false)")
	cleanup := flags.Bool("cleanup", false, "remove what controllers have written and exit (default false)")
	resync := flags.Int("resync", 300, "`seconds` after which every Service is looked at again;\n0 is never")
	health := flags.String("health", ":8080", "`address` to serve /livez, /readyz, /healthz and /metrics on;\nempty for nowhere")
	verbose := flags.Bool("v", false, "log more (default false)")
	if err := parse(flags, args, stdout, controllerHelp); err != nil {
		return err
	}
	build := version.Current()
	options := controller.Options{
		Class:        *class,
		DefaultClass: *defaultClass,
		Resync:       time.Duration(*resync) * time.Second,
		Health:       *health,
		Version:      build.Version,
		Revision:     build.Revision,
	}
	var err error
	if options.Domain, err = lb.Domain(*domain); err != nil {
		return misused("controller", "-domain: %v", err)
	}
	if problems := validation.IsQualifiedName(*class); len(problems) > 0 {
		return misused("controller", "-class %q is no name of a loadBalancerClass: %s", *class, problems[0])
	}
	if *resync < 0 || *resync > maxResync {
		return misused("controller", "-resync %d: give seconds from 0, which is never, to %d", *resync, maxResync)
	}

	client, err := cluster.client()
	if err != nil {
		return err
	}
	log := newLogger(stderr, *verbose)
	if *cleanup {
		return controller.Cleanup(ctx, client, options, stdout)
	}
	return controller.New(client, options, log, stdout).Run(ctx)
}
