package deploy_test

import (
	"github.com/minilb/minilb/test/harness"

	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// The manifests are accepted as they are, and the real controllers make pods of them, which
// Pod Security admits.
func TestDeploy(t *testing.T) {
	c := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31"))

	harness.Must(t, c.Apply(ctx, harness.Rendered(t, harness.Base)))
	expectPods(t, c, "Deployment "+harness.DNSAccount, "ReplicaSet", "dns", 2)
	expectPods(t, c, "Deployment "+harness.ControllerAccount, "ReplicaSet", "controller", 1)
	service, err := c.Client.CoreV1().Services(harness.ShippedNamespace).Get(ctx, harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	expectPorts(t, service, corev1.ServiceTypeNodePort, 30053)

	// In the base's namespace the pods of the DaemonSet are refused for their hostPorts
	// and for nothing else.
	template := harness.ShippedObject[appsv1.DaemonSet](t, harness.Rendered(t, harness.Daemonset), "DaemonSet", harness.DNSAccount).Spec.Template
	err = admit(ctx, c, template)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest": hostPort (`) || strings.Contains(err.Error(), "), ") {
		t.Errorf("hostPorts in a restricted namespace: got %v", err)
	}
	var hostPorts []string
	for i := range template.Spec.Containers[0].Ports {
		port := &template.Spec.Containers[0].Ports[i]
		if port.HostPort != 0 {
			hostPorts = append(hostPorts, fmt.Sprintf("%s %d", port.Protocol, port.HostPort))
		}
		port.HostPort = 0
	}
	if want := []string{"UDP 53", "TCP 53"}; !slices.Equal(hostPorts, want) {
		t.Errorf("hostPorts: got %v, want %v", hostPorts, want)
	}
	if err := admit(ctx, c, template); err != nil {
		t.Errorf("without hostPorts: %v", err)
	}

	// The overlay has no Deployment for DNS and no NodePort.
	harness.Must(t, c.Client.AppsV1().Deployments(harness.ShippedNamespace).Delete(ctx, harness.DNSAccount, metav1.DeleteOptions{}))
	harness.Must(t, c.Apply(ctx, harness.Rendered(t, harness.Daemonset)))
	expectPods(t, c, "DaemonSet "+harness.DNSAccount, "DaemonSet", "dns", 1)
	service, err = c.Client.CoreV1().Services(harness.ShippedNamespace).Get(ctx, harness.DNSAccount, metav1.GetOptions{})
	harness.Must(t, err)
	expectPorts(t, service, corev1.ServiceTypeClusterIP, 0)
	_, err = c.Client.AppsV1().Deployments(harness.ShippedNamespace).Get(ctx, harness.DNSAccount, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("the overlay's Deployment for DNS: got %v, want not found", err)
	}
}

// The garbage collector knows of the containers' limits, and leaves some of them to the rest.
func TestMemoryLimits(t *testing.T) {
	for name, spec := range map[string]corev1.PodTemplateSpec{
		"DNS":            harness.ShippedObject[appsv1.Deployment](t, harness.Rendered(t, harness.Base), "Deployment", harness.DNSAccount).Spec.Template,
		"DNS, DaemonSet": harness.ShippedObject[appsv1.DaemonSet](t, harness.Rendered(t, harness.Daemonset), "DaemonSet", harness.DNSAccount).Spec.Template,
		"controller":     harness.ShippedObject[appsv1.Deployment](t, harness.Rendered(t, harness.Base), "Deployment", harness.ControllerAccount).Spec.Template,
	} {
		container := spec.Spec.Containers[0]
		i := slices.IndexFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == "GOMEMLIMIT" })
		if i < 0 {
			t.Errorf("%s: GOMEMLIMIT is not set", name)
			continue
		}
		soft, err := resource.ParseQuantity(strings.TrimSuffix(container.Env[i].Value, "B")) // Kubernetes writes MiB as Mi
		harness.Must(t, err)
		if share := soft.AsApproximateFloat64() / container.Resources.Limits.Memory().AsApproximateFloat64(); share < 0.85 || share > 0.9 {
			t.Errorf("%s: GOMEMLIMIT is %.2f of the limit, want at most 0.9", name, share)
		}
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

// admit asks the API server whether it would take a pod of the template.
func admit(ctx context.Context, c *cluster.Cluster, template corev1.PodTemplateSpec) error {
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Name = "admit"
	_, err := c.Client.CoreV1().Pods(harness.ShippedNamespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// The Corefile starts the real server with the rights of its account. It answers the zone,
// the hosts outside of it and, from the upstream, everything else.
func TestShippedCorefile(t *testing.T) {
	c := harness.Shared(t)
	ctx := t.Context()
	kubeconfigs := harness.ShippedAccounts(t, c)
	namespace := harness.NewNamespace(t, c)
	host := namespace + ".example.org"
	harness.Must(t, c.Node(ctx, "node1", "192.168.1.31"))
	harness.CreateService(t, c, namespace, "web", "minilb")
	harness.Must(t, c.Apply(ctx, fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: %[1]s}
spec:
  rules:
  - host: %[2]s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
status: {loadBalancer: {ingress: [{hostname: web.%[1]s.minilb}]}}
`, namespace, host)))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{
		Namespace: namespace, Name: "web-1", Labels: map[string]string{"app": "web"}, Node: "node1", IPs: []string{"10.244.1.7"},
	}))

	deployment := harness.ShippedObject[appsv1.Deployment](t, harness.Rendered(t, harness.Base), "Deployment", harness.DNSAccount)
	configMap := harness.ShippedObject[corev1.ConfigMap](t, harness.Rendered(t, harness.Base), "ConfigMap", "minilb-corefile")
	if volume := deployment.Spec.Template.Spec.Volumes[0]; volume.ConfigMap == nil || volume.ConfigMap.Name != configMap.Name {
		t.Errorf("the pod mounts %+v, want ConfigMap %s", volume, configMap.Name)
	}
	corefile := adapt(t, configMap.Data["Corefile"], deployment.Spec.Template.Spec.Containers[0], harness.Upstream(t))
	s := harness.StartCoreDNS(t, corefile, "KUBECONFIG="+kubeconfigs.DNS, "NODE_IP=192.168.1.31")
	s.WaitReady(t)
	for _, url := range []string{s.Health, s.Prom} {
		if code, body := harness.Get(url); code != http.StatusOK {
			t.Errorf("%s: got %d %s", url, code, body)
		}
	}
	for _, test := range []struct{ name, want string }{
		{"web." + namespace + ".minilb", "10.244.1.7"},
		{host, "10.244.1.7"},
		{"ns1.minilb", "192.168.1.31"},
		{"elsewhere.example.org", "192.0.2.53"},
	} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(test.name, dns.TypeA, test.want) })
	}
	if err := s.ExpectRcode("nowhere.minilb", dns.TypeA, dns.RcodeNameError); err != nil {
		t.Error(err)
	}
	if lines := append(s.Log.Lines("forbidden"), s.Log.Lines("[ERROR]")...); len(lines) > 0 {
		t.Errorf("coredns said:\n%s", strings.Join(lines, "\n"))
	}
}

// adapt lets a machine run the Corefile beside others: it moves what listens to the places of
// launchCoreDNS, and names an upstream that is there. What it replaces agrees with the
// container's ports and probes, and is there once.
func adapt(t *testing.T, corefile string, container corev1.Container, upstream string) string {
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
		{"\n    ready\n", "\n    READY\n"},
		{fmt.Sprintf("\n    prometheus :%d\n", ports["metrics"]), "\n    PROM\n"},
		{"\n    forward . /etc/resolv.conf {\n", "\n    forward . " + upstream + " {\n"},
	} {
		if n := strings.Count(corefile, change.from); n != 1 {
			t.Fatalf("the Corefile has %q %d times, want it once:\n%s", change.from, n, corefile)
		}
		corefile = strings.Replace(corefile, change.from, change.to, 1)
	}
	return corefile
}

// The companion runs with the flags of its Deployment and the rights of its account.
func TestShippedController(t *testing.T) {
	c := harness.Shared(t)
	kubeconfigs := harness.ShippedAccounts(t, c)
	harness.Must(t, c.Node(t.Context(), "node1", "192.168.1.31"))
	container := harness.ShippedObject[appsv1.Deployment](t, harness.Rendered(t, harness.Base), "Deployment", harness.ControllerAccount).Spec.Template.Spec.Containers[0]
	if get := container.LivenessProbe.HTTPGet; get.Path != "/livez" || get.Port.StrVal != "http" {
		t.Errorf("liveness probe: %+v", get)
	}
	if get := container.ReadinessProbe.HTTPGet; get.Path != "/readyz" || get.Port.StrVal != "http" {
		t.Errorf("readiness probe: %+v", get)
	}
	args := container.Args
	health := slices.Index(args, "-health")
	if args[0] != "controller" || health < 0 || args[health+1] != fmt.Sprintf(":%d", container.Ports[0].ContainerPort) {
		t.Fatalf("args: %q", args)
	}
	p := harness.StartController(t, kubeconfigs.Controller, slices.Delete(slices.Clone(args), health, health+2)[1:]...)
	p.WaitReady(t)
	if code, body := harness.Get(p.URL + "/livez"); code != http.StatusOK {
		t.Errorf("/livez: got %d %s", code, body)
	}
	namespace := harness.NewNamespace(t, c)
	harness.CreateService(t, c, namespace, "web", "minilb")
	harness.ExpectStatus(t, c, namespace, "web", "web."+namespace+".minilb")
	cluster.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(p.Stdout.String(), "ip route add ") {
			return errors.New("no routes printed")
		}
		return nil
	})
	if lines := p.Stderr.Lines("may not"); len(lines) > 0 {
		t.Errorf("minilb controller said:\n%s", strings.Join(lines, "\n"))
	}
}
