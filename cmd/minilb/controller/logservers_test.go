package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

// R23: the nodes that have a ready DNS server are logged at the start and when they change, and the Nodes are read only then.
func TestLogServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := newTest(t, nil)
		c.options.Namespace, c.options.Domain = "dns", "lan.example.org"
		client := c.client.(*fake.Clientset)
		go c.logServers(t.Context())
		expect := func(what string, lines, lists int, want string) {
			t.Helper()
			synctest.Wait()
			read := 0
			for _, action := range client.Actions() {
				if action.Matches("list", "nodes") {
					read++
				}
			}
			if got := log.String(); strings.Count(got, "\n") != lines || read != lists || !strings.HasSuffix(got, want) {
				t.Errorf("%s: want %d lines and %d lists of Nodes, got %d and\n%s", what, lines, lists, read, got)
			}
		}
		expect("no Service", 0, 0, "")

		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "dns", Name: "lan-dns", Labels: map[string]string{"app.kubernetes.io/component": "dns"}}}
		service.Spec.Ports = []corev1.ServicePort{{Name: "dns", Protocol: corev1.ProtocolUDP, NodePort: 30053}}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "dns", Name: "lan-dns-1", Labels: map[string]string{discoveryv1.LabelServiceName: "lan-dns"}}}
		slice.AddressType = discoveryv1.AddressTypeIPv4
		for i := range 23 {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node%02d", i)}}
			node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("192.168.1.%d", 30+i)}}
			if err := client.Tracker().Add(node); err != nil {
				t.Fatal(err)
			}
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.244.1.7"}, NodeName: &node.Name})
		}
		all := slice.DeepCopy()
		slice.Endpoints = slice.Endpoints[:2]
		slice.Endpoints[1].Conditions.Ready = ptr.To(false)
		if err := errors.Join(client.Tracker().Add(service), client.Tracker().Add(slice)); err != nil {
			t.Fatal(err)
		}
		sleep(t.Context(), serversInterval)
		const hint = `hint="minilb routes -o dnsmasq-server -domain lan.example.org -dns-service dns/lan-dns prints the lines for the LAN's resolver"`
		first := `level=INFO msg="DNS servers are ready on 1 of 2 nodes" servers="node00 192.168.1.30:30053" ` + hint + ` without="node node01: its DNS server is not ready"` + "\n"
		expect("two servers", 1, 1, first)
		sleep(t.Context(), 5*serversInterval)
		expect("no change", 1, 1, first)

		if err := client.Tracker().Update(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), all, "dns"); err != nil {
			t.Fatal(err)
		}
		sleep(t.Context(), serversInterval)
		expect("many", 2, 2, `node19 192.168.1.49:30053, and 3 more" `+hint+"\n")
	})
}
