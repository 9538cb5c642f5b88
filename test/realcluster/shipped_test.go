//go:build linux

package realcluster_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

const (
	// nodePort is the Service's, of base and chart.
	nodePort = 30053

	// readyTimeout bounds a rollout.
	readyTimeout = 2 * time.Minute
)

// webService is three pods behind a Service of ours, over TCP and UDP, spread over the nodes.
const webService = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 30
      topologySpreadConstraints:
      - {topologyKey: kubernetes.io/hostname, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: ` + realcluster.PodImage + `
        imagePullPolicy: Never
        args: [web]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  allocateLoadBalancerNodePorts: false
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports:
  - {name: http, port: 8080}
  - {name: udp, port: 8080, protocol: UDP}
`

// webName is what webService is named.
const webName = "web.default.minilb."

// install applies a manifest of ours and removes it when the test ends, and with it the namespace.
func install(t *testing.T, l *realcluster.Lab, manifest string) {
	t.Helper()
	harness.Must(t, l.Cluster.Apply(t.Context(), manifest))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), readyTimeout)
		defer cancel()
		harness.Must(t, l.Cluster.Delete(ctx, manifest))
		harness.Must(t, cluster.Wait(ctx, readyTimeout, func() error { return gone(ctx, l) }))
	})
}

// gone returns an error while there is the namespace, which is removed after what is in it.
func gone(ctx context.Context, l *realcluster.Lab) error {
	_, err := l.Cluster.Client.CoreV1().Namespaces().Get(ctx, shipped.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return cmp.Or(err, errors.New("the namespace is still there"))
}

// web applies webService and waits for its pods.
func web(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	harness.Must(t, l.Cluster.Apply(t.Context(), webService))
	t.Cleanup(func() { harness.Must(t, l.Cluster.Delete(context.WithoutCancel(t.Context()), webService)) })
	awaitReady(t, l, "default")
}

// serve installs a manifest of ours with webService, and waits until each node answers at a port.
func serve(t *testing.T, l *realcluster.Lab, manifest string, port uint16) {
	t.Helper()
	install(t, l, manifest)
	web(t, l)
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, port)
}

// awaitReady waits until all workloads of a namespace have rolled out.
func awaitReady(t *testing.T, l *realcluster.Lab, namespace string) {
	t.Helper()
	if err := cluster.Wait(t.Context(), readyTimeout, func() error { return rolledOut(t.Context(), l, namespace) }); err != nil {
		t.Fatalf("%v\n%s", err, state(t, l, namespace))
	}
}

func rolledOut(ctx context.Context, l *realcluster.Lab, namespace string) error {
	deployments, err := l.Cluster.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range deployments.Items {
		if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas < *d.Spec.Replicas || s.Replicas > s.UpdatedReplicas || s.AvailableReplicas < *d.Spec.Replicas {
			return fmt.Errorf("deployment %s: %d of %d pods are new and available", d.Name, s.AvailableReplicas, *d.Spec.Replicas)
		}
	}
	daemonSets, err := l.Cluster.Client.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range daemonSets.Items {
		if s := d.Status; s.ObservedGeneration < d.Generation || s.DesiredNumberScheduled == 0 || s.UpdatedNumberScheduled < s.DesiredNumberScheduled || s.NumberAvailable < s.DesiredNumberScheduled {
			return fmt.Errorf("daemonset %s: %d of %d pods are available, %d new", d.Name, s.NumberAvailable, s.DesiredNumberScheduled, s.UpdatedNumberScheduled)
		}
	}
	// Those that end still hold ports and addresses.
	pods, err := l.Cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			return fmt.Errorf("pod %s has not ended", pod.Name)
		}
	}
	return nil
}

// state describes the pods of a namespace, with the ends of their logs, for a test that fails.
func state(t *testing.T, l *realcluster.Lab, namespace string) string {
	ctx := context.WithoutCancel(t.Context())
	var b strings.Builder
	pods, err := l.Cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, pod := range pods.Items {
		fmt.Fprintf(&b, "%s on %s: %s, ready %t\n", pod.Name, pod.Spec.NodeName, pod.Status.Phase, ready(pod))
		for _, s := range pod.Status.ContainerStatuses {
			fmt.Fprintf(&b, "  %s: %+v\n", s.Name, s.State)
		}
		log := l.PodLog(&pod)
		fmt.Fprintf(&b, "%s\n", log[max(0, len(log)-2000):])
	}
	events, err := l.Cluster.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, event := range events.Items {
		if event.Type == corev1.EventTypeWarning {
			fmt.Fprintf(&b, "%s %s: %s\n", event.InvolvedObject.Name, event.Reason, event.Message)
		}
	}
	return b.String()
}

func ready(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// answersFromEachNode waits until each node answers the name of webService with three pods, over UDP and TCP.
func answersFromEachNode(t *testing.T, l *realcluster.Lab, port uint16) {
	t.Helper()
	for _, node := range l.Nodes {
		for _, network := range []string{"udp", "tcp"} {
			for _, addr := range []netip.Addr{node.Host.V4, node.Host.V6} {
				cluster.Eventually(t, 30*time.Second, func() error {
					addrs, err := ask(t.Context(), l.Client, network, netip.AddrPortFrom(addr, port), webName)
					if err == nil && len(addrs) != 3 {
						err = fmt.Errorf("%s at %s over %s: %v, want three pods", webName, addr, network, addrs)
					}
					return err
				})
			}
		}
	}
}

// noTrouble fails if a container of ours has been restarted, or its log has a line that is an error or a warning, but for those
// that a test has caused.
func noTrouble(t *testing.T, l *realcluster.Lab, caused ...string) {
	t.Helper()
	pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{})
	harness.Must(t, err)
	for _, pod := range pods.Items {
		for _, s := range pod.Status.ContainerStatuses {
			if s.RestartCount > 0 && pod.Status.Reason != "Evicted" {
				t.Errorf("%s was restarted %d times: %+v", pod.Name, s.RestartCount, s.LastTerminationState)
			}
		}
		for line := range strings.Lines(l.PodLog(&pod)) {
			if slices.ContainsFunc(caused, func(text string) bool { return strings.Contains(line, text) }) {
				continue
			}
			if strings.Contains(line, "[ERROR]") || strings.Contains(line, "[WARNING]") || strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
				t.Errorf("%s says %s", pod.Name, line)
			}
		}
	}
}

// What the README says first: the base of kustomize, as it is, on real nodes.
func TestBase(t *testing.T) {
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	serve(t, l, manifest, nodePort)
	noTrouble(t, l)
}
