//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// A node that is short of memory evicts the pods of users, and the controller, which go on elsewhere. Its DNS server, of
// system-node-critical, stays, and a new one may start there.
func TestMemoryPressure(t *testing.T) {
	inFull(t)
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	install(t, l, manifest)
	// So that two of them may be on one node.
	users := strings.Replace(webService, "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: ScheduleAnyway", 1)
	with(t, l, users)
	awaitReady(t, l, "default")
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)

	controller := func() corev1.Pod {
		pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/component=controller", FieldSelector: "status.phase=Running"})
		harness.Must(t, err)
		if len(pods.Items) != 1 {
			t.Fatalf("%d controllers run", len(pods.Items))
		}
		return pods.Items[0]
	}
	evicted := controller()
	node := nodeOf(t, l, &evicted)
	before := dnsPod(t, l, node)
	asking(t, l, func() {
		press(t, l, node)
		cluster.Eventually(t, readyTimeout, func() error { return evictedFrom(t.Context(), l, node) })
		awaitReady(t, l, "default")
		awaitReady(t, l, shipped.Namespace)
		addrs := answersWith(t, l, 3)
		for _, addr := range addrs {
			if node.PodCIDRs[0].Contains(addr) {
				t.Errorf("%s is on the node that is short of memory", addr)
			}
		}
		pagesOf(t, l, addrs)
	})
	if now := controller(); now.Spec.NodeName == node.Name {
		t.Errorf("the controller is on %s again", node.Name)
	}
	if now := dnsPod(t, l, node); now.UID != before.UID || !ready(*now) {
		t.Errorf("the DNS server of %s was %s, and is %s: %+v", node.Name, before.Name, now.Name, now.Status)
	}
	asking(t, l, func() { restart(t, l) })
	if now := dnsPod(t, l, node); now.UID == before.UID || !ready(*now) {
		t.Errorf("the new DNS server of %s is %s: %+v", node.Name, now.Name, now.Status)
	}
	noTrouble(t, l)
}

// press has a node be short of memory until the test ends.
func press(t *testing.T, l *realcluster.Lab, node *realcluster.Node) {
	t.Helper()
	got, err := l.Cluster.Client.CoreV1().Nodes().Get(t.Context(), node.Name, metav1.GetOptions{})
	harness.Must(t, err)
	threshold := got.Status.Capacity.Memory().DeepCopy()
	// What is left is what pods may request there.
	threshold.Sub(resource.MustParse("256Mi"))
	const usual = "memory.available: 50Mi"
	short := "memory.available: " + threshold.String()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		harness.Must(t, node.EditKubelet(ctx, short, usual))
		harness.Must(t, cluster.Wait(ctx, readyTimeout, func() error { return underPressure(ctx, l, node, corev1.ConditionFalse) }))
	})
	harness.Must(t, node.EditKubelet(t.Context(), usual, short))
	cluster.Eventually(t, readyTimeout, func() error { return underPressure(t.Context(), l, node, corev1.ConditionTrue) })
}

// underPressure returns an error unless a node says whether it is short of memory.
func underPressure(ctx context.Context, l *realcluster.Lab, node *realcluster.Node, want corev1.ConditionStatus) error {
	got, err := l.Cluster.Client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range got.Status.Conditions {
		if condition.Type == corev1.NodeMemoryPressure && condition.Status == want {
			return nil
		}
	}
	return fmt.Errorf("%s has the conditions %+v", node.Name, got.Status.Conditions)
}

// evictedFrom returns an error until only DNS servers run on a node, and others have been evicted from it.
func evictedFrom(ctx context.Context, l *realcluster.Lab, node *realcluster.Node) error {
	pods, err := l.Cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node.Name})
	if err != nil {
		return err
	}
	evicted := map[string]bool{}
	for _, pod := range pods.Items {
		switch {
		case pod.Status.Reason == "Evicted":
			evicted[pod.Namespace] = true
		case pod.Labels["app.kubernetes.io/component"] != "dns":
			return fmt.Errorf("%s/%s is still there", pod.Namespace, pod.Name)
		}
	}
	if !evicted["default"] || !evicted[shipped.Namespace] {
		return errors.New("no pod of users, or no controller, has been evicted")
	}
	return nil
}
