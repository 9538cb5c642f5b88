//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// What no control plane without nodes has: pods of all kinds, their tokens, their memory, and what is said of them.
func TestRealPods(t *testing.T) {
	inFull(t)
	l := theLab(t)
	manifest, err := shortTokens()
	harness.Must(t, err)
	serve(t, l, manifest, nodePort)
	for _, subject := range []struct {
		name string
		test func(*testing.T, *realcluster.Lab)
	}{
		{"StatefulSet", testStatefulSet}, {"host network", testHostNetwork}, {"Job", testJob},
		{"tokens", testTokens}, {"memory", testMemory}, {"trouble", troubleOfJob}, {"Events", testDescribe},
		{"renewed tokens", testTokensRenewed}, // last, as they take ten minutes
	} {
		t.Run(subject.name, func(t *testing.T) { subject.test(t, l) })
	}
}

// with applies a manifest and deletes it when the test ends.
func with(t *testing.T, l *realcluster.Lab, manifest string) {
	t.Helper()
	manifest = strings.ReplaceAll(manifest, "IMAGE", "image: "+realcluster.PodImage+", imagePullPolicy: Never, args: [web]")
	harness.Must(t, l.Cluster.Apply(t.Context(), manifest))
	t.Cleanup(func() { harness.Must(t, l.Cluster.Delete(context.WithoutCancel(t.Context()), manifest)) })
}

// podsOf waits for so many ready pods with a label in the namespace default.
func podsOf(t *testing.T, l *realcluster.Lab, app string, count int) (pods []corev1.Pod) {
	t.Helper()
	cluster.Eventually(t, readyTimeout, func() error {
		list, err := l.Cluster.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		pods = slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return !ready(pod) })
		if len(pods) != count {
			return fmt.Errorf("%d pods of %s are ready, want %d", len(pods), app, count)
		}
		return nil
	})
	return pods
}

// answered waits until the first node's server answers a name with these addresses, in any order.
func answered(t *testing.T, l *realcluster.Lab, name string, qtype uint16, want ...string) {
	t.Helper()
	slices.Sort(want)
	cluster.Eventually(t, 30*time.Second, func() error {
		addrs, err := lookup(l, "udp", netip.AddrPortFrom(l.Nodes[0].Host.V4, nodePort), name, qtype)
		if err != nil {
			return err
		}
		got := []string{}
		for _, addr := range addrs {
			got = append(got, addr.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s is answered with %v, want %v", name, got, want)
		}
		return nil
	})
}

// A StatefulSet's headless Service has no name here; one of ours beside it has the pods, and each of them a name.
func testStatefulSet(t *testing.T, l *realcluster.Lab) {
	with(t, l, exposedService("db")+`
---
apiVersion: v1
kind: Service
metadata: {name: db-pods, namespace: default}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  serviceName: db-pods
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, IMAGE}]
`)
	var all []string
	for _, pod := range podsOf(t, l, "db", 2) {
		all = append(all, pod.Status.PodIP)
		name := strings.ReplaceAll(pod.Status.PodIP, ".", "-") + ".db.default.minilb."
		answered(t, l, name, dns.TypeA, pod.Status.PodIP)
		answered(t, l, name, dns.TypeAAAA, pod.Status.PodIPs[1].IP)
	}
	answered(t, l, "db.default.minilb.", dns.TypeA, all...)
	answered(t, l, "db-pods.default.minilb.", dns.TypeA)
}

// Pods in the node's network are answered with its addresses.
func testHostNetwork(t *testing.T, l *realcluster.Lab) {
	with(t, l, exposedService("on-node")+`
---
apiVersion: v1
kind: Pod
metadata: {name: web-on-node, namespace: default, labels: {app: on-node}}
spec:
  hostNetwork: true
  nodeName: node2
  containers: [{name: web, IMAGE}]
`)
	podsOf(t, l, "on-node", 1)
	node := l.Nodes[1]
	answered(t, l, "on-node.default.minilb.", dns.TypeA, node.Host.V4.String())
	answered(t, l, "on-node.default.minilb.", dns.TypeAAAA, node.Host.V6.String())
	for _, addr := range []netip.Addr{node.Host.V4, node.Host.V6} {
		cluster.Eventually(t, 30*time.Second, func() error { _, err := page(l, addr); return err })
	}
}

// exposedService is a Service of ours for the pods with a label.
func exposedService(app string) string {
	return `
apiVersion: v1
kind: Service
metadata: {name: ` + app + `, namespace: default}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  allocateLoadBalancerNodePorts: false
  ipFamilyPolicy: PreferDualStack
  selector: {app: ` + app + `}
  ports: [{port: 8080}]
`
}

// The pod of a Job is answered while it runs, and not once it has succeeded, though it is still there.
func testJob(t *testing.T, l *realcluster.Lab) {
	with(t, l, exposedService("job")+`
---
apiVersion: batch/v1
kind: Job
metadata: {name: job, namespace: default}
spec:
  template:
    metadata: {labels: {app: job}}
    spec:
      restartPolicy: Never
      containers: [{name: job, IMAGE}]
`)
	pod := podsOf(t, l, "job", 1)[0]
	answered(t, l, "job.default.minilb.", dns.TypeA, pod.Status.PodIP)
	_, container, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	_, err := nodeOf(t, l, &pod).Run(t.Context(), "ctr -n k8s.io tasks kill --signal SIGTERM", container)
	harness.Must(t, err)
	answered(t, l, "job.default.minilb.", dns.TypeA)
	cluster.Eventually(t, time.Minute, func() error {
		done, err := l.Cluster.Client.CoreV1().Pods("default").Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err == nil && done.Status.Phase != corev1.PodSucceeded {
			err = fmt.Errorf("%s is %s", pod.Name, done.Status.Phase)
		}
		return err
	})
}

// troubleOfJob is that its program has ended before its endpoint was gone, and nothing else.
func troubleOfJob(t *testing.T, l *realcluster.Lab) {
	noTrouble(t, l, "Service default/job: endpoint")
}

func nodeOf(t *testing.T, l *realcluster.Lab, pod *corev1.Pod) *realcluster.Node {
	t.Helper()
	i := slices.IndexFunc(l.Nodes, func(n *realcluster.Node) bool { return n.Name == pod.Spec.NodeName })
	if i < 0 {
		t.Fatalf("%s is on no node", pod.Name)
	}
	return l.Nodes[i]
}

// "kubectl describe" shows of a Service that another namespace has its host.
func testDescribe(t *testing.T, l *realcluster.Lab) {
	claim := func(namespace string) string {
		return `
apiVersion: v1
kind: Service
metadata: {name: claims, namespace: ` + namespace + `, annotations: {minilb/host: shop.example.org}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  allocateLoadBalancerNodePorts: false
  selector: {app: web}
  ports: [{port: 8080}]
`
	}
	with(t, l, claim("default"))
	harness.NextSecond(t, harness.GetService(t, l.Cluster, "default", "claims"))
	with(t, l, "{apiVersion: v1, kind: Namespace, metadata: {name: other}}\n---\n"+claim("other"))
	cluster.Eventually(t, time.Minute, func() error {
		shown := do(t, l, "kubectl -n other describe service claims")
		if !strings.Contains(shown, "HostConflict") || !strings.Contains(shown, `"shop.example.org" is refused`) {
			return errors.New(shown)
		}
		return nil
	})
}

func ours(t *testing.T, l *realcluster.Lab) []corev1.Pod {
	t.Helper()
	pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{})
	harness.Must(t, err)
	if len(pods.Items) < 4 {
		t.Fatalf("%d pods, want three servers and the controller", len(pods.Items))
	}
	return pods.Items
}

// A small cluster's servers and controller take no more memory than they request, by the figure that "kubectl top" has.
func testMemory(t *testing.T, l *realcluster.Lab) {
	for _, pod := range ours(t, l) {
		_, container, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		out, err := nodeOf(t, l, &pod).Run(t.Context(), `
dir=$(find /sys/fs/cgroup -type d -name "`+container+`" -exec test -e {}/memory.stat \; -print | head -n 1)
cat "$dir"/memory.current "$dir"/memory.usage_in_bytes 2>/dev/null | head -n 1
sed -nE 's/^(total_)?inactive_file //p' "$dir"/memory.stat | tail -n 1`)
		harness.Must(t, err)
		figures := strings.Fields(out)
		if len(figures) != 2 {
			t.Fatalf("the cgroup of %s says %q", pod.Name, out)
		}
		usage, err := strconv.ParseInt(figures[0], 10, 64)
		harness.Must(t, err)
		inactive, err := strconv.ParseInt(figures[1], 10, 64)
		harness.Must(t, err)
		request := pod.Spec.Containers[0].Resources.Requests.Memory().Value()
		t.Logf("%s: %.1f of %d MiB", pod.Name, float64(usage-inactive)/(1<<20), request>>20)
		if usage-inactive > request {
			t.Errorf("%s takes %d bytes and requests %d", pod.Name, usage-inactive, request)
		}
	}
}
