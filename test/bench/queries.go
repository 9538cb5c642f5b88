package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// measureHosts compares the CPU time of a query with that of plugin hosts, which knows the same
// names and addresses, and with stock plugins.
func (b *bench) measureHosts(ctx context.Context) error {
	sizes := []struct {
		data, ref dataset
		must, aim float64
		peer      bool
	}{
		{small, smallRef, 1.05, 1.00, true},
		{large, largeRef, 1.10, 1.00, b.effort.slow},
	}
	for _, size := range sizes {
		if err := b.seed(ctx, size.data); err != nil {
			return err
		}
		d := size.data
		ours, err := b.contendMinilb(ctx, d)
		if err != nil {
			return err
		}
		hosts, err := b.contendHosts(ctx, "hosts of ours", b.ours, d)
		if err != nil {
			return err
		}
		stock, err := b.contendHosts(ctx, "hosts of stock CoreDNS", b.stock, d)
		if err != nil {
			return err
		}
		whoami, err := b.contendWhoami(ctx, d)
		if err != nil {
			return err
		}
		all := []*contender{ours, hosts, stock, whoami}
		if size.peer {
			kubernetes, err := b.contendKubernetes(ctx, size.ref)
			if err != nil {
				return err
			}
			all = append(all, kubernetes)
		}
		if err := b.race(ctx, all...); err != nil {
			return err
		}
		b.compare(fmt.Sprintf("CPU per query, zone name, %d addresses, against `hosts` in our binary", d.endpoints), size.must, size.aim, ours, hosts)
		for _, c := range all {
			b.report.note(fmt.Sprintf("CPU per query, %d Services × %d, %s", d.services, d.endpoints, c.name), "%.2f µs", median(c.micros))
		}
		b.stopServers()
	}
	return nil
}

func (b *bench) contendMinilb(ctx context.Context, d dataset) (*contender, error) {
	s, err := b.serve("minilb", b.ours, minilb(d.namespace))
	if err != nil {
		return nil, err
	}
	return b.contend(ctx, "minilb", s, d.questions())
}

func (b *bench) contendHosts(ctx context.Context, name, binary string, d dataset) (*contender, error) {
	path, err := b.file(d.namespace+".hosts", d.hosts())
	if err != nil {
		return nil, err
	}
	s, err := b.serve(name, binary, block(".", "hosts "+path+" {\nttl 5\nreload 0\n}"))
	if err != nil {
		return nil, err
	}
	return b.contend(ctx, name, s, d.questions())
}

// contendWhoami is the floor: an answer that takes no data.
func (b *bench) contendWhoami(ctx context.Context, d dataset) (*contender, error) {
	s, err := b.serve("whoami", b.ours, block(".", "whoami"))
	if err != nil {
		return nil, err
	}
	questions := d.questions()
	for i := range questions {
		questions[i].answers = 0 // it has all it says in the additional section
	}
	return b.contend(ctx, "whoami", s, questions)
}

// contendKubernetes is stock CoreDNS's own plugin for the names of a cluster. The Services have
// no cluster address, or it would answer with that.
func (b *bench) contendKubernetes(ctx context.Context, d dataset) (*contender, error) {
	if err := b.seed(ctx, d); err != nil {
		return nil, err
	}
	s, err := b.serve("kubernetes", b.stock, kubernetesCorefile(d))
	if err != nil {
		return nil, err
	}
	return b.contend(ctx, "kubernetes", s, d.questions())
}

func kubernetesCorefile(d dataset) string {
	return block("cluster.local", "kubernetes cluster.local {\nkubeconfig KUBECONFIG\nlabels bench="+d.namespace+"\n}")
}

// measureKinds compares names of all kinds with plain zone names, of the same server and with
// the same addresses behind them.
func (b *bench) measureKinds(ctx context.Context) error {
	d := dataset{namespace: "kinds", services: 300, endpoints: small.endpoints}
	if err := b.seedKinds(ctx, d); err != nil {
		return err
	}
	s, err := b.serve("minilb", b.ours, b.profiled(minilb(d.namespace)))
	if err != nil {
		return err
	}
	plain, err := b.contend(ctx, "plain", s, d.questions())
	if err != nil {
		return err
	}
	all := []*contender{plain}
	for _, kind := range []struct {
		name string
		question
	}{
		{"overlay host", question{name: "%s.overlay.example.org.", answers: d.endpoints}},
		{"wildcard host", question{name: "any.%s.wild.example.org.", answers: d.endpoints}},
		{"Ingress host", question{name: "%s.ingress.example.org.", answers: d.endpoints}},
		{"route host", question{name: "%s.route.example.org.", answers: d.endpoints}},
		{"NODATA", question{name: "%s." + d.zone(), qtype: dns.TypeAAAA}},
		{"NXDOMAIN", question{name: "no%s." + d.zone(), rcode: dns.RcodeNameError}},
		{"SRV", question{name: "_http._tcp.%s." + d.zone(), qtype: dns.TypeSRV, answers: d.endpoints}},
	} {
		var questions []question
		for i := range d.services {
			q := kind.question
			q.name = fmt.Sprintf(q.name, serviceName(i))
			if q.qtype == 0 {
				q.qtype = dns.TypeA
			}
			questions = append(questions, q)
		}
		c, err := b.contend(ctx, kind.name, s, questions)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if err := b.race(ctx, all...); err != nil {
		return err
	}
	for _, c := range all[1:] {
		b.compare("CPU per query, "+c.name+", against a plain zone name", 1.15, 1.05, c, plain)
	}
	for _, c := range all {
		if err := b.profileLoad(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// seedKinds gives each of the Services hosts of all kinds.
func (b *bench) seedKinds(ctx context.Context, d dataset) error {
	if err := b.installGatewayAPI(ctx); err != nil {
		return err
	}
	return b.once(d.namespace, func() error {
		b.say("creating %d Services, Ingresses and routes", d.services)
		if err := b.createNamespace(ctx, d.namespace); err != nil {
			return err
		}
		if err := b.createGateway(ctx, d.namespace, d.hostname(0)); err != nil {
			return err
		}
		return parallel(ctx, d.services, func(i int) error {
			name := serviceName(i)
			hosts := map[string]string{"minilb/host": fmt.Sprintf("%s.overlay.example.org,*.%s.wild.example.org", name, name)}
			if err := b.createService(ctx, d, i, hosts); err != nil {
				return err
			}
			if err := b.createIngress(ctx, d.namespace, d.hostname(i), newIngress(name, name+".ingress.example.org")); err != nil {
				return err
			}
			return b.createRoute(ctx, d.namespace, name, name+".route.example.org", name)
		})
	})
}

// measureCount compares many names with few. They are hosts of Ingresses below the zone, which
// are looked up as all names of the zone are, and all lead to the same Service.
func (b *bench) measureCount(ctx context.Context) error {
	counts := []struct {
		namespace        string
		ingresses, hosts int
	}{{"few-names", 1, 100}, {"all-names", 100, 1000}}
	var all []*contender
	for _, count := range counts {
		d := dataset{namespace: count.namespace, services: 1, endpoints: 3}
		if err := b.seed(ctx, d); err != nil {
			return err
		}
		var questions []question
		host := func(i, h int) string { return fmt.Sprintf("h%02d%03d.%s.minilb", i, h, d.namespace) }
		for i := range count.ingresses {
			for h := range count.hosts {
				questions = append(questions, question{name: host(i, h) + ".", qtype: dns.TypeA, answers: d.endpoints})
			}
		}
		err := b.once("hosts of "+count.namespace, func() error {
			b.say("claiming %d hosts", len(questions))
			return parallel(ctx, count.ingresses, func(i int) error {
				var hosts []string
				for h := range count.hosts {
					hosts = append(hosts, host(i, h))
				}
				return b.createIngress(ctx, d.namespace, d.hostname(0), newIngress(serviceName(i), hosts...))
			})
		})
		if err != nil {
			return err
		}
		s, err := b.serve(d.namespace, b.ours, minilb(d.namespace))
		if err != nil {
			return err
		}
		c, err := b.contend(ctx, d.namespace, s, questions)
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if err := b.race(ctx, all...); err != nil {
		return err
	}
	b.compare("CPU per query at 100,000 names against 100 names", 1.10, 1.03, all[1], all[0])
	return nil
}

// measureSockets compares a server that listens on a socket for each CPU with one that has one.
func (b *bench) measureSockets(ctx context.Context) error {
	if err := b.seed(ctx, small); err != nil {
		return err
	}
	one, err := b.contendMinilb(ctx, small)
	if err != nil {
		return err
	}
	corefile := strings.Replace(minilb(small.namespace), "errors\n", "errors\nmultisocket\n", 1)
	s, err := b.serve("multisocket", b.ours, corefile)
	if err != nil {
		return err
	}
	many, err := b.contend(ctx, "multisocket", s, small.questions())
	if err != nil {
		return err
	}
	if err := b.race(ctx, one, many); err != nil {
		return err
	}
	b.report.note("CPU per query with `multisocket`, against without", "%.2f × (about %.1f µs)", median(ratios(many.micros, one.micros)), median(many.micros))
	b.report.note("queries a second with `multisocket`, against without", "%.2f × (about %.0f)", median(ratios(many.rates, one.rates)), median(many.rates))
	return nil
}
