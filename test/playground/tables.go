package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/test/cluster"
)

// showWhere prints what runs and where.
func (p *playground) showWhere(context.Context) error {
	p.say("Everything runs on this machine alone:\n\n")
	p.table([][]string{
		{"API server", p.cluster.URL},
		{"kubeconfig", p.cluster.Kubeconfig},
		{"DNS", p.ports.dns + " (UDP and TCP)"},
		{"Corefile", p.corefile},
		{"coredns", "http://" + p.ports.metrics + "/metrics"},
		{"", "http://" + p.ports.health + "/health"},
		{"", "http://" + p.ports.ready + "/ready"},
		{"", "log " + p.coredns.Log},
		{"minilb controller", "http://" + p.ports.controller + "/metrics"},
		{"", "http://" + p.ports.controller + "/livez and /readyz"},
		{"", "log " + p.controller.Log},
		{"upstream", p.ports.upstream + " (ours: every name is " + upstreamIPv4 + ")"},
	})
	return nil
}

// showServices prints the Services once minilb controller has written the status of all.
func (p *playground) showServices(ctx context.Context) error {
	var services *corev1.ServiceList
	err := cluster.Wait(ctx, settleTimeout, func() error {
		var err error
		if services, err = p.cluster.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{}); err != nil {
			return err
		}
		for i := range services.Items {
			service := &services.Items[i]
			want := ""
			if lb.IsOurs(&service.Spec, lb.DefaultClass, false) {
				want = lb.Hostname(service, lb.DefaultDomain)
			}
			if got := ingress(service); got != want {
				return fmt.Errorf("the address of service %s/%s is %q, want %q", service.Namespace, service.Name, got, want)
			}
		}
		return nil
	})
	if services == nil || ctx.Err() != nil {
		return err
	}

	p.say("\nServices, to which minilb controller has given names (kubectl get services -A):\n\n")
	rows := [][]string{{"NAMESPACE", "NAME", "TYPE", "EXTERNAL-IP", "CLASS"}}
	for _, service := range services.Items {
		external, class := "<none>", "<none>"
		if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
			external = cmp.Or(ingress(&service), "<pending>")
		}
		if service.Spec.LoadBalancerClass != nil {
			class = *service.Spec.LoadBalancerClass
		}
		rows = append(rows, []string{service.Namespace, service.Name, string(service.Spec.Type), external, class})
	}
	p.table(rows)
	p.judge(err)
	return nil
}

// ingress returns the addresses in the Service's status.
func ingress(service *corev1.Service) string {
	var addresses []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, cmp.Or(ingress.Hostname, ingress.IP))
	}
	return strings.Join(addresses, ",")
}

// showRoutes prints what "minilb routes" does.
func (p *playground) showRoutes(ctx context.Context) error {
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, p.minilb, "routes", "-kubeconfig", p.rights.controller)
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("minilb routes: %w: %s", err, bytes.TrimSpace(problems.Bytes()))
	}
	var want strings.Builder
	for _, node := range nodes {
		podCIDRs := p.podCIDRs[node.name]
		fmt.Fprintf(&want, "ip route replace %s via %s\n", podCIDRs[0], node.ipv4)
		fmt.Fprintf(&want, "ip -6 route replace %s via %s\n", podCIDRs[1], node.ipv6)
	}
	want.WriteString(wordwrap.Wrap("hint: ", "      ", routes.FirewallHint))

	p.say("\nRoutes for the LAN's router, from the nodes' podCIDRs (minilb routes):\n\n")
	got := string(output) + problems.String()
	for line := range strings.Lines(got) {
		p.say("  %s", line)
	}
	want.WriteString("minilb: pod networks: podcidrs: nothing else says which networks pods have; ") // and how many pods prove it
	if proof, found := strings.CutPrefix(got, want.String()); !found || strings.Count(proof, "\n") != 1 {
		p.judge(fmt.Errorf("want\n%s", &want))
	}
	return nil
}

// judge reports what is wrong with what was just shown, if anything is.
func (p *playground) judge(err error) {
	if err == nil {
		return
	}
	p.wrong++
	p.say("  WRONG: %v\n", err)
}

// table prints rows of the same length in columns.
func (p *playground) table(rows [][]string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
	}
	_ = w.Flush()
}
