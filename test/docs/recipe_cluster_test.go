package docs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// recipeCluster is one in which the recipes are followed, and the address of their pod.
type recipeCluster struct {
	*cluster.Cluster
	dns *harness.CoreDNS // the Corefile of the move from k8s_gateway
}

const recipePod = "10.244.1.10"

// incumbent is what the name server says that k8s_gateway is played by: the addresses that
// another load balancer gave.
const incumbent = `
$TTL 5
@         SOA ns hostmaster 1 2 3 4 5
@         NS  ns
ns        A   192.168.1.53
web       A   192.168.1.240
app       A   192.168.1.241
app.shop  A   192.168.1.241
`

// TestRecipes follows the recipes that change a cluster, word for word, against a real API
// server with the real controller and DNS server, and looks at what clients are told.
func TestRecipes(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	accounts := harness.ShippedAccounts(t, c)
	harness.StartController(t, accounts.Controller).WaitReady(t)
	harness.Must(t, c.Node(t.Context(), "node1", "192.168.1.31"))
	for _, namespace := range []string{"shop", "automation", "low"} {
		harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}"))
	}
	for app, namespace := range map[string]string{"web": "shop", "mosquitto": "automation"} {
		harness.Must(t, c.Pod(t.Context(), cluster.PodSpec{Namespace: namespace, Name: app + "-1", Labels: map[string]string{"app": app}, Node: "node1", IPs: []string{recipePod}}))
	}
	old := harness.StartCoreDNS(t, "example.org:PORT {\n bind 127.0.0.1\n file "+harness.ConfigFile(t, "zone", incumbent)+"\n}").Addr
	corefile, _ := harness.OnLoopback(t, harness.Recipe(t, "migration.md", "From k8s_gateway")[0], harness.Upstream(t), accounts.DNS, harness.Certificate{})
	r := &recipeCluster{c, harness.StartCoreDNS(t, strings.Replace(corefile, "192.168.1.53", old, 1))}

	t.Run("beside", r.beside)
	t.Run("low ports", r.lowPorts)
	t.Run("alias", r.alias)
	t.Run("external-dns", r.externalDNS)
	t.Run("second Service", r.secondService)
	t.Run("same Service", r.sameService)
	t.Run("anew", r.anew)
	t.Run("k8s_gateway", r.fromGateway)
}

// loadBalancer applies a Service without a class, with the address that another implementation
// gave it.
func (r *recipeCluster) loadBalancer(t *testing.T, name, annotation, ip string) *corev1.Service {
	t.Helper()
	r.delete(t, name)
	harness.Must(t, r.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: shop, annotations: {%s}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{ip: %s, ipMode: VIP}]}}
`, name, annotation, ip)))
	return harness.GetService(t, r.Cluster, "shop", name)
}

// delete deletes Services of the shop, there or not.
func (r *recipeCluster) delete(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		harness.Must(t, r.Delete(t.Context(), "{apiVersion: v1, kind: Service, metadata: {name: "+name+", namespace: shop}}"))
	}
}

// run runs a block of commands in a directory with files of these contents, and returns what it prints.
func (r *recipeCluster) run(t *testing.T, script string, files map[string]string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		harness.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.Kubeconfig, "HOME="+dir) // kubectl caches there
	harness.WithKubectl(t, cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s\n%s", err, script, out)
	}
	return string(out), err
}

// does runs a block of commands, which must succeed.
func (r *recipeCluster) does(t *testing.T, script string, files map[string]string) string {
	t.Helper()
	out, err := r.run(t, script, files)
	harness.Must(t, err)
	return out
}

// answers waits until clients are told this address of each name, or NXDOMAIN if it is empty.
func (r *recipeCluster) answers(t *testing.T, address string, names ...string) {
	t.Helper()
	for _, name := range names {
		cluster.Eventually(t, 10*time.Second, func() error {
			if address == "" {
				return r.dns.ExpectRcode(name, dns.TypeA, dns.RcodeNameError)
			}
			return r.dns.Expect(name, dns.TypeA, address)
		})
	}
}

// expectClass checks the type and class of a Service of the shop, and whether it has node ports.
func (r *recipeCluster) expectClass(t *testing.T, name string, kind corev1.ServiceType, class string, nodePorts bool) *corev1.Service {
	t.Helper()
	s := harness.GetService(t, r.Cluster, "shop", name)
	got := ""
	if s.Spec.LoadBalancerClass != nil {
		got = *s.Spec.LoadBalancerClass
	}
	if s.Spec.Type != kind || got != class || (s.Spec.Ports[0].NodePort != 0) != nodePorts {
		t.Errorf("Service %s: got %s, class %q, node port %d, want %s, class %q, node port: %v", name, s.Spec.Type, got, s.Spec.Ports[0].NodePort, kind, class, nodePorts)
	}
	return s
}

// beside has a Service of each kind for the same pods.
func (r *recipeCluster) beside(t *testing.T) {
	harness.Must(t, r.Apply(t.Context(), harness.Recipe(t, "beside.md", "A fixed address and a name for the same pods")[0]))
	defer r.delete(t, "web", "web-fixed")
	fixed := harness.Overwrite(t, r.Cluster, "shop", "web-fixed", corev1.LoadBalancerIngress{IP: "192.168.1.240"})
	metallb := "metallb.io/metallb"
	harness.CreateService(t, r.Cluster, "shop", "of-metallb", metallb)
	defer r.delete(t, "of-metallb")
	others := []*corev1.Service{fixed, harness.Overwrite(t, r.Cluster, "shop", "of-metallb", corev1.LoadBalancerIngress{IP: "192.168.1.239"})}
	harness.ExpectStatus(t, r.Cluster, "shop", "web", "web.shop.minilb")
	r.answers(t, recipePod, "web.shop.minilb")
	r.answers(t, "", "web-fixed.shop.minilb", "of-metallb.shop.minilb")
	if s := harness.Overwrite(t, r.Cluster, "shop", "web"); len(s.Status.LoadBalancer.Ingress) > 0 { // as ServiceLB does
		t.Errorf("the status is %+v, want none", s.Status.LoadBalancer)
	}
	harness.ExpectStatus(t, r.Cluster, "shop", "web", "web.shop.minilb")
	harness.ExpectUntouched(t, r.Cluster, "minilb", others...)
}

// lowPorts has Pod Security admit the pod.
func (r *recipeCluster) lowPorts(t *testing.T) {
	harness.Must(t, r.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: low, labels: {pod-security.kubernetes.io/enforce: restricted}}}"))
	manifest := harness.Recipe(t, "beside.md", "Pods on low ports")[0]
	harness.Must(t, r.Apply(t.Context(), strings.Replace(manifest, "namespace: shop", "namespace: low", 1)))
	cluster.Eventually(t, 20*time.Second, func() error {
		pods, err := r.Client.CoreV1().Pods("low").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items) == 1 {
			return nil
		}
		events, err := r.Client.CoreV1().Events("low").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil || len(events.Items) == 0 {
			return fmt.Errorf("no pod: %v", err)
		}
		return errors.New(events.Items[0].Message)
	})
	unsafe := strings.NewReplacer("namespace: shop", "namespace: low", "name: web\n  ", "name: unsafe\n  ", "net.ipv4.ip_unprivileged_port_start", "net.core.somaxconn").Replace(manifest)
	harness.Must(t, r.Apply(t.Context(), unsafe))
	cluster.Eventually(t, 20*time.Second, func() error { // that it is asked at all
		events, err := r.Client.CoreV1().Events("low").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err != nil || len(events.Items) == 0 || !strings.Contains(events.Items[0].Message, "sysctls") {
			return fmt.Errorf("an unsafe sysctl is admitted: %v, %v", events, err)
		}
		return nil
	})
}

// secondService moves a Service by one that stands beside it, and back.
func (r *recipeCluster) secondService(t *testing.T) {
	blocks := harness.Recipe(t, "migration.md", "From MetalLB without an interruption")
	before := r.loadBalancer(t, "web", "", "192.168.1.240")
	r.answers(t, "192.168.1.240", "web.example.org")
	harness.Must(t, r.Apply(t.Context(), blocks[0]))
	r.answers(t, recipePod, "web-lan.shop.minilb", "web.example.org")
	harness.ExpectStatus(t, r.Cluster, "shop", "web-lan", "web-lan.shop.minilb")
	harness.ExpectUntouched(t, r.Cluster, "minilb", before)

	r.does(t, blocks[1], nil)
	after := r.expectClass(t, "web", corev1.ServiceTypeClusterIP, "", false)
	if after.Spec.ClusterIP != before.Spec.ClusterIP || len(after.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("got cluster IP %s and status %+v, want %s and none", after.Spec.ClusterIP, after.Status.LoadBalancer, before.Spec.ClusterIP)
	}
	r.answers(t, recipePod, "web.example.org")

	r.does(t, blocks[2], nil)
	back := r.expectClass(t, "web", corev1.ServiceTypeLoadBalancer, "", true)
	if back.Annotations["metallb.io/loadBalancerIPs"] != "192.168.1.240" {
		t.Errorf("annotations: %v", back.Annotations)
	}
	r.answers(t, "192.168.1.240", "web.example.org")
	r.answers(t, "", "web-lan.shop.minilb")
}

// sameService moves a Service through type ClusterIP, and back.
func (r *recipeCluster) sameService(t *testing.T) {
	blocks := harness.Recipe(t, "migration.md", "From MetalLB with the same Service")
	before := r.loadBalancer(t, "web", "", "192.168.1.240")
	_, err := r.run(t, `kubectl -n shop patch service web --type merge -p '{"spec":{"loadBalancerClass":"minilb"}}'`, nil)
	if err == nil || !strings.Contains(err.Error(), `spec.loadBalancerClass: Invalid value: "minilb": may not change once set`) { // S7
		t.Errorf("a new class of a LoadBalancer: got %v", err)
	}

	r.does(t, blocks[0], nil)
	after := r.expectClass(t, "web", corev1.ServiceTypeLoadBalancer, "minilb", false)
	if after.UID != before.UID || after.Spec.ClusterIP != before.Spec.ClusterIP {
		t.Errorf("it is another Service: %s with %s, was %s with %s", after.UID, after.Spec.ClusterIP, before.UID, before.Spec.ClusterIP)
	}
	harness.ExpectStatus(t, r.Cluster, "shop", "web", "web.shop.minilb")
	r.answers(t, recipePod, "web.shop.minilb")

	r.does(t, blocks[1], nil)
	back := r.expectClass(t, "web", corev1.ServiceTypeLoadBalancer, "", true)
	if back.UID != before.UID || len(back.Status.LoadBalancer.Ingress) > 0 || back.Annotations["metallb.io/loadBalancerIPs"] != "192.168.1.240" {
		t.Errorf("got %s, status %+v, annotations %v", back.UID, back.Status.LoadBalancer, back.Annotations)
	}
	r.answers(t, "", "web.shop.minilb")
}

// anew replaces a Service by one with the class.
func (r *recipeCluster) anew(t *testing.T) {
	blocks := harness.Recipe(t, "migration.md", "From MetalLB by making the Service anew")
	before := r.loadBalancer(t, "web", "", "192.168.1.240")
	files := map[string]string{"web.yaml": blocks[1]}
	if _, err := r.run(t, "kubectl apply -f web.yaml", files); err == nil || !strings.Contains(err.Error(), "may not change once set") {
		t.Errorf("apply with another class: got %v", err)
	}
	r.does(t, blocks[0], files)
	if after := r.expectClass(t, "web", corev1.ServiceTypeLoadBalancer, "minilb", false); after.UID == before.UID {
		t.Error("it is the Service that it was")
	}
	harness.ExpectStatus(t, r.Cluster, "shop", "web", "web.shop.minilb")
	r.answers(t, recipePod, "web.shop.minilb")

	harness.CreateService(t, r.Cluster, "shop", "left", "")
	list := r.does(t, harness.Recipe(t, "migration.md", "Remove MetalLB")[0], nil)
	lines := strings.Split(list, "\n")
	if !slices.Contains(lines, "shop/web minilb") || !slices.Contains(lines, "shop/left ") || strings.Contains(list, "kubernetes") {
		t.Errorf("the Services that are left: got\n%s", list)
	}
	r.delete(t, "web", "left")
}

// fromGateway changes the name server first and the Services after that.
func (r *recipeCluster) fromGateway(t *testing.T) {
	r.loadBalancer(t, "app", "coredns.io/hostname: app.example.org", "192.168.1.241")
	harness.Must(t, harness.Apply(r.Cluster, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: blog, namespace: shop}
spec: {rules: [{host: blog.example.org, HTTP}]}
status: {loadBalancer: {ingress: [{ip: 192.168.1.242}]}}
`))
	r.answers(t, "192.168.1.242", "blog.example.org")
	r.answers(t, "192.168.1.241", "app.example.org", "app.shop.example.org")
	move := strings.ReplaceAll(harness.Recipe(t, "migration.md", "From MetalLB with the same Service")[0], "service web", "service app")
	r.does(t, move, nil)
	r.answers(t, recipePod, "app.example.org", "app.shop.example.org", "app.shop.minilb")
	r.answers(t, "192.168.1.242", "blog.example.org")
}
