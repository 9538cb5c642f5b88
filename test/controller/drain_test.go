package controller_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// L9: the owner of a Service learns that its pods end within the TTL, with the permissions that are shipped.
func TestDrainEvent(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	kubeconfig := harness.ShippedAccounts(t, c).Controller
	namespace := harness.NewNamespace(t, c)
	for name, lifecycle := range map[string]*corev1.Lifecycle{"short": nil, "long": {PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 7}}}} {
		harness.CreateService(t, c, namespace, name, "minilb")
		pod, err := c.Client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web", Lifecycle: lifecycle}}},
		}, metav1.CreateOptions{})
		harness.Must(t, err)
		harness.Must(t, c.Apply(t.Context(), fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
metadata: {namespace: %s, name: %s-1, labels: {kubernetes.io/service-name: %[2]s}},
endpoints: [{addresses: [10.244.1.7], targetRef: {kind: Pod, namespace: %[1]s, name: %[2]s, uid: %[3]s}}]}`, namespace, name, pod.UID)))
	}
	harness.LaunchController(t, harness.HastyMinilb, kubeconfig).WaitReady(t)
	cluster.Eventually(t, time.Minute, func() error {
		events, err := c.Client.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var got []string
		for _, event := range events.Items {
			if event.Reason == "NoDrainTime" {
				got = append(got, event.Type+" "+event.Regarding.Name+": "+event.Note)
			}
		}
		if want := "Normal short: Its pods have no preStop: when one ends, clients go on connecting to it for the TTL, 5 s; "; len(got) != 1 || !strings.HasPrefix(got[0], want) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}
