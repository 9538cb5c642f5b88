//go:build linux

package realcluster_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// inFull skips a test that the default run has no time for.
func inFull(t *testing.T) {
	t.Helper()
	if !harness.Full {
		t.Skip("MINILB_FULL=1 runs it")
	}
}

// do runs a line of the documentation in the repository's root as the cluster's administrator.
func do(t *testing.T, l *realcluster.Lab, line string) string {
	t.Helper()
	t.Setenv("KUBECONFIG", l.Cluster.Kubeconfig)
	program, args, _ := strings.Cut(line, " ")
	if program == "minilb" {
		line = harness.Minilb(t).Path + " " + args // which takes time of its own when it is built
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), readyTimeout)
	defer cancel()
	if program == "helm" {
		out, err := shipped.Helm(ctx, strings.Fields(args)...)
		harness.Must(t, err)
		return out
	}
	cmd := exec.CommandContext(ctx, "sh", "-ec", line)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "HOME="+t.TempDir()) // kubectl caches there
	harness.WithKubectl(t, cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// namespace makes that of the release, with Pod Security of this level, and removes it when the test ends.
func namespace(t *testing.T, l *realcluster.Lab, level string) {
	t.Helper()
	harness.Must(t, l.Cluster.Apply(t.Context(), fmt.Sprintf(
		"{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: %s}}}", shipped.Namespace, level)))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		harness.Must(t, l.Cluster.Client.CoreV1().Namespaces().Delete(ctx, shipped.Namespace, metav1.DeleteOptions{}))
		harness.Must(t, cluster.Wait(ctx, readyTimeout, func() error { return gone(ctx, l) }))
	})
}

// lookup asks for addresses of a family from the client.
func lookup(l *realcluster.Lab, network string, server netip.AddrPort, name string, qtype uint16) ([]netip.Addr, error) {
	conn, err := dial(context.Background(), l.Client, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := &dns.Client{Timeout: patience}
	reply, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion(name, qtype), conn)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, rr := range reply.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			addrs = append(addrs, netip.MustParseAddr(rr.A.String()))
		case *dns.AAAA:
			addrs = append(addrs, netip.MustParseAddr(rr.AAAA.String()))
		}
	}
	return addrs, nil
}

// answersAt waits until a server answers the name of webService with the addresses of its three pods, of a family,
// over UDP and TCP, and returns them.
func answersAt(t *testing.T, l *realcluster.Lab, server netip.AddrPort, qtype uint16) (addrs []netip.Addr) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		cluster.Eventually(t, 30*time.Second, func() (err error) {
			addrs, err = lookup(l, network, server, webName, qtype)
			if err == nil && len(addrs) != 3 {
				err = fmt.Errorf("%s at %s over %s: %v, want three pods", webName, server, network, addrs)
			}
			return err
		})
	}
	return addrs
}

// page fetches the page of a pod from the client, which says the pod's name and the client's address.
func page(l *realcluster.Lab, addr netip.Addr) (string, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return l.Client.Dial(ctx, network, addr)
		},
	}}
	response, err := client.Get("http://" + netip.AddrPortFrom(addr, 8080).String() + "/")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// pagesOf waits until each address has a page of a pod's that has seen the client's own address.
func pagesOf(t *testing.T, l *realcluster.Lab, addrs []netip.Addr) {
	t.Helper()
	for _, addr := range addrs {
		cluster.Eventually(t, 30*time.Second, func() error {
			text, err := page(l, addr)
			ours := strings.Contains(text, " 192.168.77.50:") || strings.Contains(text, " [fd00:192:168:77::50]:")
			if err == nil && !(strings.HasPrefix(text, "web-") && ours) {
				err = fmt.Errorf("%s has the page %q", addr, text)
			}
			return err
		})
	}
}

// Port 53 of each node, as kustomize's overlay has it.
func TestOverlayDaemonSet(t *testing.T) {
	l := theLab(t)
	manifest, err := shipped.DaemonSet()
	harness.Must(t, err)
	serve(t, l, manifest, 53)
	noTrouble(t, l)
}

// helmInstall is what the chart's README has, to which a test adds values.
const helmInstall = "helm install minilb deploy/helm/minilb --namespace minilb --create-namespace"

// The chart from the installation to the removal as its README has them: a release of two replicas becomes the default
// one, in a namespace with the strictest level of Pod Security.
func TestChart(t *testing.T) {
	l := theLab(t)
	namespace(t, l, "restricted")
	web(t, l)
	do(t, l, helmInstall+" --set dns.kind=Deployment")
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	noTrouble(t, l)

	do(t, l, "helm upgrade minilb deploy/helm/minilb --namespace minilb")
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	noTrouble(t, l)
	for _, node := range l.Nodes {
		pagesOf(t, l, answersAt(t, l, netip.AddrPortFrom(node.Host.V6, nodePort), dns.TypeAAAA))
	}
	harness.ExpectStatus(t, l.Cluster, "default", "web", strings.TrimSuffix(webName, "."))

	readme, err := os.ReadFile("../../deploy/helm/minilb/README.md")
	harness.Must(t, err)
	_, section, found := strings.Cut(string(readme), "\n## Uninstall\n")
	if !found || !strings.Contains(string(readme), "\n"+helmInstall+"\n") {
		t.Fatal("the README does not say how the chart is installed and removed")
	}
	for line := range strings.Lines(strings.Split(section, "```\n")[1]) {
		do(t, l, strings.TrimSpace(line))
	}
	if left := harness.GetService(t, l.Cluster, "default", "web").Status.LoadBalancer.Ingress; len(left) > 0 {
		t.Errorf("the Service still has the status %+v", left)
	}
	cluster.Eventually(t, readyTimeout, func() error { return nothingLeft(t.Context(), l) })
}

// nothingLeft returns an error while there is an object of the release's.
func nothingLeft(ctx context.Context, l *realcluster.Lab) error {
	lists, err := l.Cluster.Client.Discovery().ServerPreferredResources()
	if err != nil {
		return err
	}
	var left []string
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return err
		}
		for _, resource := range list.APIResources {
			objects, err := l.Cluster.Dynamic.Resource(version.WithResource(resource.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return fmt.Errorf("list %s: %w", resource.Name, err)
			}
			for _, object := range objects.Items {
				ours := object.GetLabels()["app.kubernetes.io/instance"] == shipped.ChartRelease
				named := strings.HasPrefix(object.GetName(), "minilb-") && !strings.HasSuffix(resource.Name, "events")
				if ours || named || strings.HasPrefix(object.GetName(), "sh.helm.release.") {
					left = append(left, resource.Name+"/"+object.GetName())
				}
			}
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("the release has left %q", left)
	}
	return nil
}

// The chart's other ways to run the servers, in namespaces of the level of Pod Security that they take.
func TestChartVariants(t *testing.T) {
	inFull(t)
	l := theLab(t)
	web(t, l)
	for name, v := range map[string]struct {
		values string
		level  string
		port   uint16
		at     []string // families of the nodes' addresses that answer
		qtypes []uint16
	}{
		"host port":    {"dns.hostPort=53", "privileged", 53, []string{"IPv4", "IPv6"}, []uint16{dns.TypeA, dns.TypeAAAA}},
		"host network": {"dns.hostNetwork=true,dns.ports.dns=53", "privileged", 53, []string{"IPv4"}, []uint16{dns.TypeA, dns.TypeAAAA}},
		"IPv6": {"dns.service.ipFamilyPolicy=SingleStack,dns.service.ipFamilies={IPv6},plugin.families={ipv6}", "restricted", nodePort,
			[]string{"IPv6"}, []uint16{dns.TypeAAAA}},
		"snapshot": {"plugin.snapshot.enabled=true", "restricted", nodePort, []string{"IPv4"}, []uint16{dns.TypeA}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t, l, v.level)
			do(t, l, helmInstall+" --set "+v.values)
			t.Cleanup(func() { do(t, l, "helm uninstall minilb --namespace minilb --wait") })
			awaitReady(t, l, shipped.Namespace)
			for _, node := range l.Nodes {
				for _, family := range v.at {
					addr := node.Host.V4
					if family == "IPv6" {
						addr = node.Host.V6
					}
					for _, qtype := range v.qtypes {
						pagesOf(t, l, answersAt(t, l, netip.AddrPortFrom(addr, v.port), qtype))
					}
				}
			}
			noTrouble(t, l)
		})
	}
}
