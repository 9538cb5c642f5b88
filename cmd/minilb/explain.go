package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/cmd/minilb/explain"
	"github.com/minilb/minilb/cmd/minilb/stanza"
	"github.com/minilb/minilb/plugin/minilb/source"
)

var explainHelp = help{
	synopsis: `Says why names answer what they answer: which zone each lies in, every
object that claims it and what has become of that, for routes at each parentRef
and listener, the endpoints behind it, and what a query returns now. It reads
the cluster once, as the DNS server does, with the rights of the kubeconfig.
NAMESPACE/SERVICE stands for that Service's name in the first zone, and of a URL
the host counts.

JSON is for each name {"name", "summary", "zone", "about", "notes":
 [text], "claims": [{"kind", "namespace", "name", "created", "host", "verdict",
   "leads": [text], "why", "parents": [{"parent", "why",
     "listeners": [{"name", "hostname", "port", "why"}]}]}],
 "endpoints": [{"service", "address", "hostname", "node", "state", "answered"}],
 "answer": {"rcode", "own", "a", "aaaa", "cname", "srv"}}, an empty "rcode" for
a name that is passed on, an empty "why" where there is nothing to say.`,
	example:   "minilb explain -corefile /etc/minilb/Corefile mqtt.example.org",
	arguments: "NAME...",
}

// inspectTimeout is how long reading the cluster may take.
const inspectTimeout = time.Minute

// runExplain implements "minilb explain".
func runExplain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("explain")
	cluster := clusterFlags(flags)
	resolver := resolverFlags(flags)
	format := flags.String("o", "text", "output `format`: text or json")
	if err := parse(flags, args, stdout, explainHelp); err != nil {
		return err
	}
	if *format != "text" && *format != "json" {
		return misused("explain", "-o %q: choose text or json", *format)
	}
	stanzas, err := resolver.stanzas()
	if err != nil {
		return misused("explain", "%v", err)
	}
	for _, text := range flags.Args() {
		if _, _, err := explain.Name(text, stanzas[0].Options.Zones[0]); err != nil {
			return misused("explain", "%v", err)
		}
	}
	newLogger(stderr, false)

	config, err := cluster.config()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client of the kubeconfig: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, inspectTimeout, errors.New("it took too long"))
	defer cancel()
	stanzas, _, note := resolver.find(ctx, config, stanzas)
	seen := map[int]*source.Inspection{} // by stanza
	for i, text := range flags.Args() {
		name, meaning, err := explain.Name(text, stanzas[0].Options.Zones[0])
		if err != nil {
			return misused("explain", "%v", err)
		}
		s, elsewhere := stanza.For(stanzas, name)
		if seen[s] == nil {
			if seen[s], err = source.Inspect(ctx, config, stanzas[s].Options, source.Hooks{Covered: stanzas[s].Covered}); err != nil {
				return err
			}
			io.WriteString(stderr, note)
			note = ""
		}
		explanation := explain.Explain(ctx, stanzas[s], seen[s], client, name)
		if elsewhere != "" {
			explanation.Elsewhere(elsewhere)
		}
		if meaning != "" {
			explanation.Notes = append(explanation.Notes, meaning)
		}
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
