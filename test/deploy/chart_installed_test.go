package deploy_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// Helm installs the chart, says what to do next, rolls the pods when the Corefile changes, and
// leaves nothing.
func testChartInstalled(t *testing.T, c *cluster.Cluster) {
	enforce(t, c, "restricted")
	notes := readable(t, helm(t, c, "install", shipped.ChartRelease, "deploy/helm/minilb"))
	for _, want := range []string{
		"kubectl -n minilb get pods -l app.kubernetes.io/instance=minilb\n",
		"kubectl -n minilb logs deployment/minilb-controller\n",
		"server=/minilb/NODE#30053\n",
		"rebind-domain-ok=/minilb/\n",
		"loadBalancerClass: minilb\n",
		"dig @NODE -p 30053 <service>.<namespace>.minilb\n",
		"this says why:\n\n     minilb check\n",
		"minilb controller -cleanup\n",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("Helm says\n%s\nwithout %q", notes, want)
		}
	}
	expectPods(t, c, "DaemonSet "+harness.DNSAccount, "DaemonSet", "dns", 1)
	expectPods(t, c, "Deployment "+harness.ControllerAccount, "ReplicaSet", "controller", 1)
	service, err := c.Client.CoreV1().Services(harness.ShippedNamespace).Get(t.Context(), harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	expectPorts(t, service, corev1.ServiceTypeNodePort, 30053)

	s := startChart(t, c, lameduck)
	for _, url := range []string{s.Health, s.Prom} {
		if code, body := harness.Get(url); code != http.StatusOK {
			t.Errorf("%s: got %d %s", url, code, body)
		}
	}
	checked := harness.Minilb(t, "check", "-kubeconfig", c.Kubeconfig, "-server", s.Addr)
	var found *exec.ExitError
	out, err := checked.CombinedOutput()
	if err != nil && (!errors.As(err, &found) || found.ExitCode() != 1) || !strings.Contains(string(out), "using the Corefile in ConfigMap minilb/minilb-corefile, mounted by DaemonSet minilb/minilb-dns\n") {
		t.Errorf("minilb check: %v\n%s", err, out)
	}
	for name, want := range map[string]string{
		"web.shop.minilb": "10.244.1.1", "web.other.minilb": "10.244.1.3", "ingress.example.org": "10.244.1.1", "route.example.org": "10.244.1.2",
		"ns1.minilb": "192.168.1.31", "elsewhere.example.org": "192.0.2.53",
	} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, want) })
	}
	if err := s.ExpectRcode("nowhere.minilb", dns.TypeA, dns.RcodeNameError); err != nil {
		t.Error(err)
	}
	unforbidden(t, s)
	expectDrained(t, c, s)
	expectPoliced(t, c)

	before := getDaemonSet(t, c).Spec.Template.Annotations["checksum/corefile"]
	notes = readable(t, helm(t, c, "upgrade", shipped.ChartRelease, "deploy/helm/minilb", "--reset-then-reuse-values", "--set", "plugin.ttl=9,dns.hostPort=5300"))
	if !strings.Contains(notes, "server=/minilb/NODE#5300\n") || !strings.Contains(notes, "pod-security.kubernetes.io/enforce=privileged") || !strings.Contains(notes, "answers private networks only") {
		t.Errorf("with ports of nodes Helm says\n%s", notes)
	}
	if after := getDaemonSet(t, c).Spec.Template.Annotations["checksum/corefile"]; after == before || after == "" {
		t.Errorf("checksum of another Corefile: got %q, of the one before %q", after, before)
	}
	helm(t, c, "uninstall", shipped.ChartRelease)
	chartGone(t, c)
}

// expectPoliced runs the controller as the account that is installed may, and checks that this may write nothing
// else (S14b).
func expectPoliced(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), harness.ShippedNamespace, harness.ControllerAccount)
	harness.Must(t, err)
	harness.Must(t, shipped.AwaitPolicy(t.Context(), kubeconfig))
	p := harness.StartController(t, kubeconfig).WaitReady(t)
	harness.ExpectStatus(t, c, "shop", "web", "web.shop.minilb")
	p.Stop(t)
	if lines := p.Stderr.Lines("refuse"); len(lines) > 0 { // that pods are not in podCIDRs is another matter
		t.Errorf("the controller is refused what it writes:\n%s", strings.Join(lines, "\n"))
	}
}

// expectPods waits until the controllers have made this many pods of a component.
func expectPods(t *testing.T, c *cluster.Cluster, what, owner, component string, want int) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		pods, err := c.Client.CoreV1().Pods(harness.ShippedNamespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/name=minilb,app.kubernetes.io/component=" + component,
		})
		if err != nil {
			return err
		}
		made := 0
		for _, pod := range pods.Items {
			if metav1.GetControllerOf(&pod).Kind == owner {
				made++
			}
		}
		if made == want {
			return nil
		}
		events, err := c.Client.CoreV1().Events(harness.ShippedNamespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil {
			return err
		}
		var reasons []string
		for _, event := range events.Items {
			reasons = append(reasons, event.Message)
		}
		return fmt.Errorf("%s: %d pods, want %d\n%s", what, made, want, strings.Join(reasons, "\n"))
	})
}

// expectPorts checks that a Service takes UDP and TCP on port 53 and on a node port.
func expectPorts(t *testing.T, service *corev1.Service, kind corev1.ServiceType, nodePort int32) {
	t.Helper()
	var got []string
	for _, port := range service.Spec.Ports {
		got = append(got, fmt.Sprintf("%s %d %d", port.Protocol, port.Port, port.NodePort))
	}
	want := []string{fmt.Sprintf("UDP 53 %d", nodePort), fmt.Sprintf("TCP 53 %d", nodePort)}
	if service.Spec.Type != kind || !slices.Equal(got, want) {
		t.Errorf("service: got %s %q, want %s %q", service.Spec.Type, got, kind, want)
	}
}

func getDaemonSet(t *testing.T, c *cluster.Cluster) *appsv1.DaemonSet {
	t.Helper()
	daemonSet, err := c.Client.AppsV1().DaemonSets(harness.ShippedNamespace).Get(t.Context(), harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	return daemonSet
}

func installedCorefile(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	configMap, err := c.Client.CoreV1().ConfigMaps(harness.ShippedNamespace).Get(t.Context(), "minilb-corefile", metav1.GetOptions{})
	harness.Must(t, err)
	return configMap.Data["Corefile"]
}

// lameduck is how long a server goes on to answer after SIGTERM, by the Corefile that is shipped.
const lameduck = 8 * time.Second

// startChart runs the Corefile that is installed, with the rights of the account that is, and with
// another lameduck.
func startChart(t *testing.T, c *cluster.Cluster, lameduck time.Duration) *harness.CoreDNS {
	t.Helper()
	ctx := t.Context()
	pods := getDaemonSet(t, c).Spec.Template.Spec
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, harness.ShippedNamespace, pods.ServiceAccountName)
	harness.Must(t, err)
	corefile := adapt(t, installedCorefile(t, c), pods.Containers[0], harness.Upstream(t), lameduck)
	s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+kubeconfig, "NODE_IP=192.168.1.31")
	s.WaitReady(t)
	return s
}

// adapt lets a machine run the Corefile beside others: it moves what listens to the places of
// harness.LaunchCoreDNS, names an upstream that is there, and sets lameduck. What it replaces agrees
// with the container's ports and probes, and is there once.
func adapt(t *testing.T, corefile string, container corev1.Container, upstream string, duck time.Duration) string {
	t.Helper()
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	if want := map[string]int32{"dns": 1053, "dns-tcp": 1053, "health": 8080, "ready": 8181, "metrics": 9153}; !maps.Equal(ports, want) {
		t.Errorf("ports: got %v, want %v", ports, want)
	}
	if get := container.LivenessProbe.HTTPGet; get.Path != "/health" || get.Port.StrVal != "health" {
		t.Errorf("liveness probe: %+v", get)
	}
	if get := container.ReadinessProbe.HTTPGet; get.Path != "/ready" || get.Port.StrVal != "ready" {
		t.Errorf("readiness probe: %+v", get)
	}
	for _, change := range []struct{ from, to string }{
		{fmt.Sprintf("\n.:%d {\n", ports["dns"]), "\n.:PORT {\n"},
		{"\n    health {\n", "\n    HEALTH {\n"},
		{fmt.Sprintf("\n        lameduck %v\n", lameduck), fmt.Sprintf("\n        lameduck %v\n", duck)},
		{"\n    ready\n", "\n    READY\n"},
		{fmt.Sprintf("\n    prometheus :%d\n", ports["metrics"]), "\n    PROM\n"},
		{"\n    forward . 9.9.9.9 149.112.112.112 {\n", "\n    forward . " + upstream + " {\n"},
	} {
		if n := strings.Count(corefile, change.from); n != 1 {
			t.Fatalf("the Corefile has %q %d times, want it once:\n%s", change.from, n, corefile)
		}
		corefile = strings.Replace(corefile, change.from, change.to, 1)
	}
	return corefile
}

// expectDrained ends a server as the kubelet does: it goes on to answer while clients are led
// to others, and ends before it would be killed.
func expectDrained(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS) {
	t.Helper()
	began := time.Now()
	harness.Must(t, s.Cmd.Process.Signal(syscall.SIGTERM))
	var last time.Duration // after which it answered
	for time.Since(began) < lameduck-time.Second {
		asked := time.Since(began)
		if err := s.Expect("web.shop.minilb", dns.TypeA, "10.244.1.1"); err == nil {
			last = asked
		} else if asked = time.Since(began); asked < lameduck { // else it was us who were late
			t.Fatalf("%v after its end has begun: %v", asked, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if last < lameduck/2 {
		t.Errorf("the last answer was %v after its end had begun", last)
	}
	grace := time.Duration(*getDaemonSet(t, c).Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	select {
	case err := <-s.Exited:
		s.Exited <- err
	case <-time.After(grace - time.Since(began)):
		t.Errorf("it goes on for longer than %v", grace)
	}
}

// unforbidden complains of what a server may not do that it tried, and of other errors.
func unforbidden(t *testing.T, s *harness.CoreDNS) {
	t.Helper()
	if lines := append(s.Log.Lines("forbidden"), s.Log.Lines("[ERROR]")...); len(lines) > 0 {
		t.Errorf("coredns said:\n%s", strings.Join(lines, "\n"))
	}
}
