package load_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// largeText is how many bytes each object has in an annotation or in its hosts: the API server lets it have 256 KiB of
// annotations.
const largeText = 255_000

// idleMemory is what the server takes at most while nothing that it reads is for it, in MB: what it has read of it is dropped.
const idleMemory = 64

// largeSorts are what a tenant fills objects with, in the order in which it does. In full, two of them have more than half
// as much as the server has memory alone.
var largeSorts = []struct {
	name   string
	count  int
	most   int // what memory the server takes with them and with those before, in MB
	create func(ctx context.Context, e *harness.Tenant, i int) error
}{
	{"Services of another class with hosts", size(250, 1200), idleMemory, func(ctx context.Context, e *harness.Tenant, i int) error {
		return largeService(ctx, e, fmt.Sprintf("foreign%04d", i), "metallb", "minilb/host", strings.Repeat("h.example,", largeText/10))
	}},
	{"Services of another class with protocols", size(250, 400), idleMemory, func(ctx context.Context, e *harness.Tenant, i int) error {
		return largeService(ctx, e, fmt.Sprintf("spoken%04d", i), "metallb", "minilb/alpn", "h2"+strings.Repeat(",", largeText))
	}},
	{"our Services with hosts", size(50, 1200), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		var hosts strings.Builder
		for j := 0; hosts.Len() < largeText; j++ {
			fmt.Fprintf(&hosts, "%045d.h%04d.example.org,", j, i) // 1,024 of these are 64 KiB
		}
		return largeService(ctx, e, fmt.Sprintf("hosts%04d", i), "minilb", "minilb/host", hosts.String())
	}},
	{"our Services with what are no hosts", size(50, 400), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		var hosts strings.Builder
		for j := 0; hosts.Len() < largeText; j++ {
			fmt.Fprintf(&hosts, "_%d-%d,", i, j)
		}
		return largeService(ctx, e, fmt.Sprintf("flaws%04d", i), "minilb", "minilb/host", hosts.String())
	}},
	{"our Services with protocols", size(50, 400), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		return largeService(ctx, e, fmt.Sprintf("alpn%04d", i), "minilb", "minilb/alpn", "h2"+strings.Repeat(",", largeText))
	}},
	{"Ingresses with a Service", size(50, 400), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		ingress := loadIngress(fmt.Sprintf("service%04d", i))
		ingress.Annotations = map[string]string{"minilb/service": "old" + strings.Repeat(" ", largeText)}
		_, err := e.Client.NetworkingV1().Ingresses(e.Namespace).Create(ctx, ingress, metav1.CreateOptions{})
		return err
	}},
	{"Ingresses with hosts", size(50, 400), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		ingress := loadIngress(fmt.Sprintf("rules%04d", i))
		ingress.Annotations = map[string]string{"minilb/service": "old"}
		long := strings.Repeat(strings.Repeat("l", 60)+".", 3)
		for j := range largeText / len(long) {
			ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{
				Host: fmt.Sprintf("%sr%d.i%d.org", long, j, i), IngressRuleValue: ingress.Spec.Rules[0].IngressRuleValue,
			})
		}
		_, err := e.Client.NetworkingV1().Ingresses(e.Namespace).Create(ctx, ingress, metav1.CreateOptions{})
		return err
	}},
	{"HTTPRoutes with a Service", size(50, 400), memoryBound >> 20, func(ctx context.Context, e *harness.Tenant, i int) error {
		return e.Apply(fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route%04[1]d, namespace: %[2]s, annotations: {minilb/service: "old%[3]s"}}
spec: {parentRefs: [{name: none}], hostnames: [r%04[1]d.org]}
`, i, e.Namespace, strings.Repeat(" ", largeText)))
	}},
}

func largeService(ctx context.Context, e *harness.Tenant, name, class, annotation, value string) error {
	service := harness.LoadService(name)
	service.Spec.LoadBalancerClass = &class
	service.Annotations = map[string]string{annotation: value[:largeText]}
	_, err := e.Client.CoreV1().Services(e.Namespace).Create(ctx, service, metav1.CreateOptions{})
	return err
}

// C7c: a tenant fills all that is read of objects, within the rights of its namespace. The server, with the
// memory that the shipped manifests give it, is not killed: neither while it does, nor when it starts, whether the API
// server streams lists or not. Nor is the controller.
func TestTenantMemory(t *testing.T) {
	base := harness.Rendered(t, shipped.Base)
	newCgroup(t, 1<<30)
	c := cluster.New(t, cluster.Options{})
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	n := harness.NewTenants(t, c)
	accounts := harness.ShippedAccounts(t, c)
	corefile := harness.ResolverFor(accounts.DNS, n.Up, "https")

	watching := startLimited(t, base, "minilb-dns", func(within within, env ...string) (*exec.Cmd, chan error, *harness.LogBuffer) {
		s := harness.LaunchCoreDNS(t, within(harness.FastBinary), corefile, env...)
		s.WaitReady(t)
		n.Guard(t, s)
		return s.Cmd, s.Exited, s.Log
	})
	watching.check(t, "at rest", idleMemory)
	for _, sort := range largeSorts {
		harness.Parallel(t, sort.count, func(i int) error { return sort.create(t.Context(), n.Evil, i) })
		time.Sleep(size(time.Second, 10*time.Second)) // what follows from it is done
		watching.check(t, fmt.Sprintf("%d %s more", sort.count, sort.name), sort.most)
	}
	checkController(t, n, base, accounts.Controller)

	for _, how := range []struct{ name, env string }{
		{"lists are streamed", "KUBE_FEATURE_WatchListClient=true"},
		{"lists are read in pages", "KUBE_FEATURE_WatchListClient=false"},
	} {
		starting := startLimited(t, base, "minilb-dns", func(within within, env ...string) (*exec.Cmd, chan error, *harness.LogBuffer) {
			s := harness.LaunchCoreDNS(t, within(harness.FastBinary), corefile, append(env, how.env)...)
			cluster.Eventually(t, 5*time.Minute, func() error { return s.Expect("web."+n.Victim+".minilb", dns.TypeA, harness.VictimPod) })
			return s.Cmd, s.Exited, s.Log
		})
		time.Sleep(size(time.Second, 10*time.Second))
		starting.check(t, "after a start, "+how.name, memoryBound>>20)
	}
}

// checkController starts a controller with the memory that it has, which has to write the status of what there is.
func checkController(t *testing.T, n *harness.Tenants, base, kubeconfig string) {
	t.Helper()
	var p *harness.Controller
	limited := startLimited(t, base, "minilb-controller", func(within within, env ...string) (*exec.Cmd, chan error, *harness.LogBuffer) {
		for _, e := range env {
			name, value, _ := strings.Cut(e, "=")
			t.Setenv(name, value)
		}
		p = harness.LaunchController(t, within(harness.FastMinilb), kubeconfig)
		p.WaitReady(t)
		return p.Cmd, p.Exited, p.Stderr
	})
	harness.CreateService(t, n.Cluster, n.Victim, "late", "minilb")
	cluster.Eventually(t, 5*time.Minute, func() error { // behind those of the tenant
		if len(harness.GetService(t, n.Cluster, n.Victim, "late").Status.LoadBalancer.Ingress) == 0 {
			return errors.New("the status of the victim's Service is not written")
		}
		return nil
	})
	time.Sleep(size(2*time.Second, 30*time.Second)) // hosts are looked at, and Events written
	limited.check(t, "the controller after a start", limited.limit>>20)
	p.Stop(t)
}

// within makes a program start in a cgroup.
type within func(built func() (string, error)) (limited func() (string, error))

// limitedProgram is one that runs in a cgroup.
type limitedProgram struct {
	*cgroup
	limit  int
	cmd    *exec.Cmd
	exited chan error
	log    *harness.LogBuffer
}

// startLimited starts a program with the memory that its pods in a manifest have.
func startLimited(t *testing.T, manifest, name string, start func(within within, env ...string) (*exec.Cmd, chan error, *harness.LogBuffer)) *limitedProgram {
	t.Helper()
	container := harness.ShippedPods(t, manifest, name).Spec.Containers[0]
	p := &limitedProgram{limit: int(container.Resources.Limits.Memory().Value())}
	env := ""
	for _, e := range container.Env {
		if e.Name == "GOMEMLIMIT" {
			env = e.Name + "=" + e.Value
		}
	}
	if env == "" {
		t.Fatalf("%s has no GOMEMLIMIT", name)
	}
	p.cgroup = newCgroup(t, p.limit)
	p.cmd, p.exited, p.log = start(func(built func() (string, error)) func() (string, error) { return p.within(t, built) }, env)
	return p
}

// check fails the test if the program was killed or takes more than so many MB of memory, and logs what it takes and has
// taken at most: the kernel kills it beyond its limit.
func (p *limitedProgram) check(t *testing.T, state string, most int) {
	t.Helper()
	select {
	case err := <-p.exited:
		p.exited <- err
		t.Fatalf("%s: the program has ended: %v\n%.2000s", state, err, p.log)
	default:
	}
	now, peak := p.usage(t)
	if now>>20 > most || peak > p.limit {
		t.Errorf("%s: %d MB of memory, %d MB at most, want %d", state, now>>20, peak>>20, most)
	}
	t.Logf("%s: %d MB, %d MB at most, of %d MB", state, now>>20, peak>>20, p.limit>>20)
}
