package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/test/cluster"
)

var httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// installGatewayAPI makes the API server serve the Gateway API, once, with a class. Servers that
// are started later find it at once.
func (b *bench) installGatewayAPI(ctx context.Context) error {
	const class = `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: bench}, spec: {controllerName: example.com/bench}}`
	return b.once(class, func() error {
		definitions, err := cluster.GatewayAPI(ctx, cluster.NewestGatewayAPI, "standard")
		if err != nil {
			return err
		}
		return b.cluster.Apply(ctx, definitions+"\n---\n"+class)
	})
}

// createGateway creates a Gateway that takes the routes of its namespace, with a status that
// names a Service.
func (b *bench) createGateway(ctx context.Context, namespace, hostname string) error {
	return b.cluster.Apply(ctx, fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: %s, name: bench}
spec:
  gatewayClassName: bench
  listeners: [{name: http, port: 80, protocol: HTTP}]
status:
  addresses: [{type: Hostname, value: %s}]
`, namespace, hostname))
}

// createRoute creates an HTTPRoute for a host, accepted by the Gateway and led to a Service.
func (b *bench) createRoute(ctx context.Context, namespace, name, host, service string) error {
	parent := map[string]any{"name": "bench"}
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "HTTPRoute",
		"metadata":   map[string]any{"name": name, "annotations": map[string]any{"minilb/service": service}},
		"spec":       map[string]any{"parentRefs": []any{parent}, "hostnames": []any{host}},
	}}
	routes := b.cluster.Dynamic.Resource(httpRoutes).Namespace(namespace)
	created, err := routes.Create(ctx, route, metav1.CreateOptions{})
	if err == nil {
		created.Object["status"] = map[string]any{"parents": []any{map[string]any{
			"parentRef":      parent,
			"controllerName": "example.com/bench",
			"conditions": []any{map[string]any{
				"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
				"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": created.GetGeneration(),
			}},
		}}}
		_, err = routes.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("create an HTTPRoute: %w", err)
	}
	return nil
}
