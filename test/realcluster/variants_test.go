//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), readyTimeout)
	defer cancel()
	program, args, _ := strings.Cut(line, " ")
	if program == "helm" {
		out, err := shipped.Helm(ctx, strings.Fields(args)...)
		harness.Must(t, err)
		return out
	}
	cmd := exec.CommandContext(ctx, "sh", "-ec", line)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "HOME="+t.TempDir()) // kubectl caches there
	harness.WithKubectl(t, cmd)
	if program == "minilb" {
		cmd.Args[2] = harness.Minilb(t).Path + " " + args
	}
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

// The chart's other ways to run the servers.
func TestChartVariants(t *testing.T) {
	inFull(t)
	l := theLab(t)
	web(t, l)
	for name, v := range map[string]struct {
		values string
		port   uint16
		at     []string // families of the nodes' addresses that answer
		qtypes []uint16
	}{
		"host port":    {"dns.hostPort=53", 53, []string{"IPv4", "IPv6"}, []uint16{dns.TypeA, dns.TypeAAAA}},
		"host network": {"dns.hostNetwork=true,dns.ports.dns=53", 53, []string{"IPv4"}, []uint16{dns.TypeA, dns.TypeAAAA}},
		"IPv6": {"dns.service.ipFamilyPolicy=SingleStack,dns.service.ipFamilies={IPv6},plugin.families={ipv6}", nodePort,
			[]string{"IPv6"}, []uint16{dns.TypeAAAA}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace(t, l, "privileged")
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

// The account of kustomize's overlay "outside": its "minilb routes" on the router prints routes that work.
func TestOutsideRoutes(t *testing.T) {
	l := theLab(t)
	web(t, l)
	do(t, l, "kubectl apply -k deploy/kustomize/overlays/outside")
	t.Cleanup(func() { do(t, l, "kubectl delete --ignore-not-found -k deploy/kustomize/overlays/outside") })
	var token string
	cluster.Eventually(t, 10*time.Second, func() error { // the cluster makes it
		secret, err := l.Cluster.Client.CoreV1().Secrets(shipped.Namespace).Get(t.Context(), shipped.RoutesAccount+"-token", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if token = string(secret.Data["token"]); token == "" {
			return errors.New("no token yet")
		}
		return nil
	})
	path, err := l.Cluster.TokenKubeconfig(token)
	harness.Must(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "routes.kubeconfig")
	harness.Must(t, l.WriteLANKubeconfig(path, kubeconfig))

	for _, node := range l.Nodes {
		for _, cidr := range node.PodCIDRs {
			harness.Must(t, l.Router.IP("route del "+cidr.String()))
		}
	}
	out, err := l.Router.Output(t.Context(), harness.Minilb(t).Path, "routes", "-kubeconfig", kubeconfig)
	harness.Must(t, err)
	for line := range strings.Lines(out) {
		route, found := strings.CutPrefix(strings.TrimSpace(line), "ip ")
		if !found {
			t.Fatalf("minilb routes prints %q", line)
		}
		harness.Must(t, l.Router.IP(strings.TrimPrefix(route, "-6 ")))
	}
	pods, err := l.Cluster.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	harness.Must(t, err)
	var addrs []netip.Addr
	for _, pod := range pods.Items {
		for _, ip := range pod.Status.PodIPs {
			addrs = append(addrs, netip.MustParseAddr(ip.IP))
		}
	}
	if len(addrs) != 6 || !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		t.Fatalf("the pods have the addresses %v", addrs)
	}
	pagesOf(t, l, addrs)
}
