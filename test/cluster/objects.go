package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// podCIDRTimeout bounds the wait for a Node's podCIDRs, which takes the
// controller milliseconds.
const podCIDRTimeout = 30 * time.Second

// terminationGrace is what Terminate gives a pod, in seconds: longer than any
// test, though nobody counts it down.
const terminationGrace int64 = 3600

// Node creates a Node with these internal addresses that is Ready, or gives an
// existing one these addresses and makes it Ready. The controllers allocate its
// podCIDRs; see NodePodCIDRs.
func (c *Cluster) Node(ctx context.Context, name string, internalIPs ...string) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{corev1.LabelHostname: name},
	}}
	_, err := c.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create node %s: %w", name, err)
	}
	addresses := []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}}
	for _, ip := range internalIPs {
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	// A strategic merge would take all addresses of one type for the same, so
	// the whole list is replaced.
	return c.patchNode(ctx, name, types.MergePatchType, map[string]any{
		"addresses":  addresses,
		"conditions": []corev1.NodeCondition{nodeReady(true)},
	})
}

// NodePodCIDRs waits until the controllers have given a Node its podCIDRs, one
// of each family, and returns them, IPv4 first.
func (c *Cluster) NodePodCIDRs(ctx context.Context, name string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	err := Wait(ctx, podCIDRTimeout, func() error {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(node.Spec.PodCIDRs) == 0 {
			return errors.New("it has none yet")
		}
		prefixes = nil
		for _, cidr := range node.Spec.PodCIDRs {
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				return err
			}
			prefixes = append(prefixes, prefix)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for podCIDRs of node %s: %w", name, err)
	}
	return prefixes, nil
}

// SetNodeReady writes a Node's Ready condition with the present time, as a
// kubelet does whose node is (or is not) well. With Options.NodeLifecycle, a
// node that wants to stay Ready needs it again and again.
func (c *Cluster) SetNodeReady(ctx context.Context, name string, ready bool) error {
	return c.patchNode(ctx, name, types.StrategicMergePatchType, map[string]any{
		"conditions": []corev1.NodeCondition{nodeReady(ready)},
	})
}

func nodeReady(ready bool) corev1.NodeCondition {
	return corev1.NodeCondition{
		Type:               corev1.NodeReady,
		Status:             conditionStatus(ready),
		LastHeartbeatTime:  metav1.Now(),
		LastTransitionTime: metav1.Now(),
		Reason:             "Test",
	}
}

func (c *Cluster) patchNode(ctx context.Context, name string, patch types.PatchType, status any) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("encode the status of node %s: %w", name, err)
	}
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if _, err := c.Client.CoreV1().Nodes().Patch(ctx, name, patch, body, options, "status"); err != nil {
		return fmt.Errorf("write the status of node %s: %w", name, err)
	}
	return nil
}

// PodSpec says what Pod creates.
type PodSpec struct {
	Namespace string // "default" if empty
	Name      string
	Labels    map[string]string

	// Node is the name of the node it runs on. It should exist: the controllers
	// leave a pod of a missing node out of EndpointSlices. A pod without a node
	// cannot Terminate.
	Node string

	// IPs are its addresses, at most one of each family, the primary one first.
	IPs []string

	// Unready leaves its Ready condition False.
	Unready bool

	// Phase is Running if empty.
	Phase corev1.PodPhase

	Ports               []corev1.ContainerPort // of its only container
	Hostname, Subdomain string
	HostNetwork         bool
}

// drains has pods serve on for as long as clients may know their addresses, so that nobody finds fault with them.
var drains = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 7}}}

// Pod creates a Pod and writes the status that the kubelet of its node would.
// For a Pod that exists it writes the status alone.
func (c *Cluster) Pod(ctx context.Context, spec PodSpec) error {
	namespace := orDefault(spec.Namespace)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: spec.Name, Labels: spec.Labels},
		Spec: corev1.PodSpec{
			NodeName:    spec.Node,
			Hostname:    spec.Hostname,
			Subdomain:   spec.Subdomain,
			HostNetwork: spec.HostNetwork,
			Containers:  []corev1.Container{{Name: "main", Image: "example.org/none", Ports: spec.Ports, Lifecycle: drains}},
		},
	}
	_, err := c.Client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create pod %s/%s: %w", namespace, spec.Name, err)
	}

	status := map[string]any{
		"phase":      cmp.Or(spec.Phase, corev1.PodRunning),
		"startTime":  metav1.Now(),
		"conditions": podReady(!spec.Unready),
	}
	if len(spec.IPs) > 0 {
		var ips []corev1.PodIP
		for _, ip := range spec.IPs {
			ips = append(ips, corev1.PodIP{IP: ip})
		}
		status["podIP"], status["podIPs"] = spec.IPs[0], ips
	}
	return c.patchPod(ctx, namespace, spec.Name, types.MergePatchType, status)
}

// SetReady writes a Pod's Ready condition.
func (c *Cluster) SetReady(ctx context.Context, namespace, name string, ready bool) error {
	namespace = orDefault(namespace)
	return c.patchPod(ctx, namespace, name, types.StrategicMergePatchType, map[string]any{
		"conditions": podReady(ready),
	})
}

// Terminate asks for the end of a Pod, as its deletion does: its endpoint is
// terminating, and serving for as long as it is Ready, until RemovePod. It is
// an error for a Pod without a node, which would be gone at once.
func (c *Cluster) Terminate(ctx context.Context, namespace, name string) error {
	namespace = orDefault(namespace)
	pods := c.Client.CoreV1().Pods(namespace)
	pod, err := pods.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("terminate pod %s/%s: %w", namespace, name, err)
	}
	if pod.Spec.NodeName == "" {
		return fmt.Errorf("terminate pod %s/%s: it is bound to no node", namespace, name)
	}
	grace := terminationGrace
	if err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		return fmt.Errorf("terminate pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// RemovePod deletes a Pod at once. One that does not exist is no error.
func (c *Cluster) RemovePod(ctx context.Context, namespace, name string) error {
	namespace = orDefault(namespace)
	var none int64
	err := c.Client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &none})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// orDefault is the namespace that no namespace means.
func orDefault(namespace string) string {
	return cmp.Or(namespace, metav1.NamespaceDefault)
}

func podReady(ready bool) []corev1.PodCondition {
	var conditions []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		conditions = append(conditions, corev1.PodCondition{
			Type:               kind,
			Status:             conditionStatus(ready),
			LastTransitionTime: metav1.Now(),
		})
	}
	return conditions
}

func conditionStatus(is bool) corev1.ConditionStatus {
	if is {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func (c *Cluster) patchPod(ctx context.Context, namespace, name string, patch types.PatchType, status any) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("encode the status of pod %s/%s: %w", namespace, name, err)
	}
	options := metav1.PatchOptions{FieldManager: fieldManager}
	if _, err := c.Client.CoreV1().Pods(namespace).Patch(ctx, name, patch, body, options, "status"); err != nil {
		return fmt.Errorf("write the status of pod %s/%s: %w", namespace, name, err)
	}
	return nil
}
