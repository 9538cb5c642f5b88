package routes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// Nodes lists the cluster's nodes. Its error is a *kube.Failure.
func Nodes(ctx context.Context, client kubernetes.Interface) ([]*corev1.Node, error) {
	var nodes []*corev1.Node
	list := func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Nodes().List(ctx, options)
	}
	err := pager.New(list).EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		nodes = append(nodes, object.(*corev1.Node))
		return nil
	})
	if err != nil {
		return nil, kube.Explain("list", "nodes", err)
	}
	return nodes, nil
}

// Strays returns which of the nodes have pods that their routes do not reach (R3). Who may not
// list EndpointSlices learns of none.
func (lan LAN) Strays(ctx context.Context, client kubernetes.Interface, nodes []*corev1.Node) ([]Stray, error) {
	check := newPodCheck(lan, nodes)
	err := EachSlice(ctx, client, check.add)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("pod IPs not compared with podCIDRs: %w", err)
	}
	return check.strays(), nil
}
