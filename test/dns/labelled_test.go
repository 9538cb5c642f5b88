package dns_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// labelledState are Services of all types for the same pod, with the label that exposes them but for one.
const labelledState = `
apiVersion: v1
kind: Service
metadata: {name: cluster, namespace: NS, labels: {minilb/expose: "true"}, annotations: {minilb/host: cluster.NS.example}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: NS, labels: {minilb/expose: "true"}}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: external, namespace: NS, labels: {minilb/expose: "true"}}
spec: {type: ExternalName, externalName: ex.org}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: NS}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

// L1: Services of any type are answered by their label, through changes of their type, and their status is not written.
func TestLabelled(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	harness.Must(t, c.Node(ctx, "labelled", "192.168.1.79"))
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(labelledState, "NS", ns)))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: ns, Name: "web-0", Labels: map[string]string{"app": "web"}, Node: "labelled", IPs: []string{"10.79.1.7"}}))
	s := harness.StartCoreDNS(t, fmt.Sprintf(`.:PORT {
		bind 127.0.0.1
		READY
		errors
		minilb minilb {
			kubeconfig %s
			namespaces %s default
		}
	}`, c.Kubeconfig, ns))
	s.WaitReady(t)
	in := func(name string) string { return strings.ReplaceAll(name, "NS", ns) }
	answered := func() error {
		return errors.Join(
			s.Expect(in("cluster.NS.minilb"), dns.TypeA, "10.79.1.7"), s.Expect(in("cluster.NS.example"), dns.TypeA, "10.79.1.7"),
			s.Expect(in("headless.NS.minilb"), dns.TypeA, "10.79.1.7"), s.Expect(in("10-79-1-7.headless.NS.minilb"), dns.TypeA, "10.79.1.7"),
			s.ExpectRcode(in("external.NS.minilb"), dns.TypeA, dns.RcodeNameError), s.ExpectRcode(in("plain.NS.minilb"), dns.TypeA, dns.RcodeNameError))
	}
	cluster.Eventually(t, 20*time.Second, answered)

	// The name is asked for all the time while its type changes: at most for a moment it is in neither watch.
	services := c.Client.CoreV1().Services(ns)
	patch := func(name, text string) {
		t.Helper()
		_, err := services.Patch(ctx, name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	patch("cluster", `{"spec":{"type":"LoadBalancer","loadBalancerClass":"metallb"}}`)
	cluster.Eventually(t, 20*time.Second, answered)
	service, err := services.Get(ctx, "cluster", metav1.GetOptions{})
	harness.Must(t, err)
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("got type %s and status %v", service.Spec.Type, service.Status)
	}
	patch("cluster", `{"spec":{"type":"ClusterIP","loadBalancerClass":null}}`)
	cluster.Eventually(t, 20*time.Second, answered)
	patch("cluster", `{"metadata":{"labels":{"minilb/expose":null}}}`)
	patch("plain", `{"metadata":{"labels":{"minilb/expose":"true"}}}`)
	cluster.Eventually(t, 20*time.Second, func() error {
		return errors.Join(s.ExpectRcode(in("cluster.NS.minilb"), dns.TypeA, dns.RcodeNameError), s.Expect(in("plain.NS.minilb"), dns.TypeA, "10.79.1.7"))
	})

	// The API server by name, as the recipe has it.
	_, err = c.Client.CoreV1().Services("default").Patch(ctx, "kubernetes", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/expose":"true"}}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	t.Cleanup(func() {
		_, err := c.Client.CoreV1().Services("default").Patch(context.WithoutCancel(ctx), "kubernetes", types.MergePatchType, []byte(`{"metadata":{"labels":{"minilb/expose":null}}}`), metav1.PatchOptions{})
		harness.Must(t, err)
	})
	var servers []string
	cluster.Eventually(t, 20*time.Second, func() error {
		slices, err := c.Client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
		if err != nil {
			return err
		}
		servers = nil
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				servers = append(servers, endpoint.Addresses...)
			}
		}
		if len(servers) == 0 {
			return errors.New("the API server is not among the endpoints of its own Service")
		}
		return s.Expect("kubernetes.default.minilb", dns.TypeA, servers...)
	})
}
