//go:build linux

package realcluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// What an operator does to nodes, configuration and control plane, one after the other, under the base of kustomize.
func TestOperations(t *testing.T) {
	inFull(t)
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	serve(t, l, manifest, nodePort)
	for _, operation := range []struct {
		name string
		test func(*testing.T, *realcluster.Lab)
	}{
		{"drain", testDrain}, {"kubelet", testProgramsRestarted}, {"bad rollout", testBadRollout}, {"Corefile", testCorefile},
		{"API server", testAPIServerRestarted}, {"permissions", testPermissionsRemoved}, {"reboot", testReboot},
	} {
		t.Run(operation.name, func(t *testing.T) { operation.test(t, l) })
	}
}

// asking runs a stream of questions to each node's port while f runs, and fails if one is lost.
func asking(t *testing.T, l *realcluster.Lab, f func()) {
	t.Helper()
	if _, lost := countLost(t, l, f); lost > 0 {
		t.Errorf("%d questions are lost", lost)
	}
}

func countLost(t *testing.T, l *realcluster.Lab, f func()) (asked, lost int) {
	t.Helper()
	var streams []*stream
	for i, node := range l.Nodes {
		network := []string{"udp", "tcp"}[i%2]
		streams = append(streams, startStream(t, l.Client, network, false, webName, netip.AddrPortFrom(node.Host.V4, nodePort)))
	}
	f()
	for _, s := range streams {
		lost += s.finish(t)
		asked += int(s.asked.Load())
	}
	return asked, lost
}

// answersWith waits until each node answers the name of webService with so many pods, and returns its last answer.
func answersWith(t *testing.T, l *realcluster.Lab, pods int) (addrs []netip.Addr) {
	t.Helper()
	for _, node := range l.Nodes {
		cluster.Eventually(t, readyTimeout, func() (err error) {
			addrs, err = lookup(l, "udp", netip.AddrPortFrom(node.Host.V4, nodePort), webName, dns.TypeA)
			if err == nil && len(addrs) != pods {
				err = fmt.Errorf("%s answers with %v, want %d pods", node.Name, addrs, pods)
			}
			return err
		})
	}
	return addrs
}

// dnsPod returns the newest pod of the DNS servers on a node.
func dnsPod(t *testing.T, l *realcluster.Lab, node *realcluster.Node) *corev1.Pod {
	t.Helper()
	pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/component=dns", FieldSelector: "spec.nodeName=" + node.Name})
	harness.Must(t, err)
	var newest *corev1.Pod
	for i, pod := range pods.Items {
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = &pods.Items[i]
		}
	}
	if newest == nil {
		t.Fatalf("%s has no DNS server", node.Name)
	}
	return newest
}

// A drained node's pods are out of the answers, and its DNS server goes on.
func testDrain(t *testing.T, l *realcluster.Lab) {
	node := l.Nodes[1]
	uncordon := "kubectl uncordon " + node.Name
	t.Cleanup(func() { do(t, l, uncordon) }) // also of a test that has failed
	asking(t, l, func() {
		do(t, l, "kubectl drain "+node.Name+" --ignore-daemonsets --delete-emptydir-data --timeout 100s")
		for _, addr := range answersWith(t, l, 2) {
			if node.PodCIDRs[0].Contains(addr) {
				t.Errorf("%s is a pod of the drained node", addr)
			}
		}
		do(t, l, uncordon)
		answersWith(t, l, 3)
	})
}

// The pods of a node go on while its kubelet and containerd are started again.
func testProgramsRestarted(t *testing.T, l *realcluster.Lab) {
	node := l.Nodes[0]
	asking(t, l, func() {
		for _, program := range []string{"kubelet", "containerd", "kube-proxy"} {
			pid := func() (string, error) { return node.Run(t.Context(), "cat /run/"+program+".pid") }
			before, err := pid()
			harness.Must(t, err)
			harness.Must(t, node.Signal(t.Context(), program, "KILL"))
			cluster.Eventually(t, 30*time.Second, func() error {
				now, err := pid()
				if err == nil && now == before {
					err = fmt.Errorf("%s has not been started again", program)
				}
				return err
			})
		}
		began := time.Now()
		cluster.Eventually(t, readyTimeout, func() error {
			lease, err := l.Cluster.Client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), node.Name, metav1.GetOptions{})
			if err == nil && !lease.Spec.RenewTime.After(began) {
				err = errors.New("the kubelet has not been heard of")
			}
			return err
		})
	})
	awaitReady(t, l, shipped.Namespace)
	answersWith(t, l, 3)
	noTrouble(t, l)
}

const (
	base            = "resources: [https://github.com/minilb/minilb//deploy/kustomize/base?ref=v0.1.0]\n"
	replaceCorefile = "configMapGenerator: [{name: minilb-corefile, namespace: minilb, behavior: replace, files: [Corefile]}]\n"
)

// An image that does not exist, and a Corefile that cannot be read, keep their pods from starting: the old servers go
// on, and the pod says what is wrong.
func testBadRollout(t *testing.T, l *realcluster.Lab) {
	for name, tc := range map[string]struct{ kustomization, corefile, want string }{
		"image":    {base + "images: [{name: ghcr.io/minilb/coredns, newTag: v0.0.0}]\n", "", "ErrImagePull"},
		"Corefile": {base + replaceCorefile, ".:1053 {\n    minilb minilb {\n        tll 5\n    }\n}\n", "tll"},
	} {
		t.Run(name, func(t *testing.T) {
			manifest, err := shipped.Overlay(tc.kustomization, map[string]string{"Corefile": tc.corefile})
			harness.Must(t, err)
			asking(t, l, func() {
				harness.Must(t, l.Cluster.Apply(t.Context(), manifest))
				cluster.Eventually(t, time.Minute, func() error { return says(t, l, tc.want) })
				answersWith(t, l, 3)
				good, err := shipped.Base()
				harness.Must(t, err)
				harness.Must(t, l.Cluster.Apply(t.Context(), good))
				awaitReady(t, l, shipped.Namespace)
			})
		})
	}
}

// says returns an error until a DNS server waits for a reason, or has logged it.
func says(t *testing.T, l *realcluster.Lab, want string) error {
	var all []string
	for _, node := range l.Nodes {
		pod := dnsPod(t, l, node)
		for _, s := range pod.Status.ContainerStatuses {
			if s.State.Waiting != nil {
				all = append(all, s.State.Waiting.Reason)
			}
		}
		all = append(all, l.PodLog(pod))
	}
	return contains(strings.Join(all, "\n"), want)
}

// controllerSays returns an error until a controller has logged something.
func controllerSays(t *testing.T, l *realcluster.Lab, want string) error {
	t.Helper()
	pods, err := l.Cluster.Client.CoreV1().Pods(shipped.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=controller"})
	harness.Must(t, err)
	var all string
	for _, pod := range pods.Items {
		all += l.PodLog(&pod)
	}
	return contains(all, want)
}

func contains(text, want string) error {
	if !strings.Contains(text, want) {
		return fmt.Errorf("no %q in %s", want, text[max(0, len(text)-2000):])
	}
	return nil
}

// ttlAt returns the TTL that a node's server answers with.
func ttlAt(l *realcluster.Lab, node *realcluster.Node) (uint32, error) {
	conn, err := dial(context.Background(), l.Client, "udp", netip.AddrPortFrom(node.Host.V4, nodePort))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	reply, err := exchange(conn, new(dns.Msg).SetQuestion(webName, dns.TypeA), patience)
	if err != nil {
		return 0, err
	}
	if len(reply.Answer) == 0 {
		return 0, errors.New("no answer")
	}
	return reply.Answer[0].Header().Ttl, nil
}

func expectTTL(t *testing.T, l *realcluster.Lab, want uint32) {
	t.Helper()
	for _, node := range l.Nodes {
		cluster.Eventually(t, 3*time.Minute, func() error {
			got, err := ttlAt(l, node)
			if err == nil && got != want {
				err = fmt.Errorf("%s answers with TTL %d, want %d", node.Name, got, want)
			}
			return err
		})
	}
}

// A new Corefile of kustomize's has a name of its own and rolls the pods; one that is written over the old one is read
// by the pods that run. Neither loses a question.
func testCorefile(t *testing.T, l *realcluster.Lab) {
	shippedBase, err := shipped.Base()
	harness.Must(t, err)
	corefile := harness.ShippedObject[corev1.ConfigMap](t, shippedBase, "ConfigMap", corefileOf(t, l)).Data["Corefile"]
	const line = "        ttl 1\n"
	if !strings.Contains(corefile, line) {
		t.Fatalf("the Corefile has no line %q", line)
	}
	corefile = strings.Replace(corefile, line, "        ttl 3\n", 1)
	manifest, err := shipped.Overlay(base+replaceCorefile, map[string]string{"Corefile": corefile})
	harness.Must(t, err)
	asking(t, l, func() {
		harness.Must(t, l.Cluster.Apply(t.Context(), manifest))
		awaitReady(t, l, shipped.Namespace)
		expectTTL(t, l, 3)
	})

	before := dnsPod(t, l, l.Nodes[0]).Name
	asking(t, l, func() {
		maps := l.Cluster.Client.CoreV1().ConfigMaps(shipped.Namespace)
		config, err := maps.Get(t.Context(), corefileOf(t, l), metav1.GetOptions{})
		harness.Must(t, err)
		config.Data["Corefile"] = strings.Replace(config.Data["Corefile"], "ttl 3", "ttl 4", 1)
		_, err = maps.Update(t.Context(), config, metav1.UpdateOptions{})
		harness.Must(t, err)
		expectTTL(t, l, 4)
	})
	if now := dnsPod(t, l, l.Nodes[0]).Name; now != before {
		t.Errorf("the pod is %s now, which was %s", now, before)
	}
}

// corefileOf returns the name of the ConfigMap that the DNS servers have.
func corefileOf(t *testing.T, l *realcluster.Lab) string {
	t.Helper()
	servers, err := l.Cluster.Client.AppsV1().DaemonSets(shipped.Namespace).Get(t.Context(), "minilb-dns", metav1.GetOptions{})
	harness.Must(t, err)
	return servers.Spec.Template.Spec.Volumes[0].ConfigMap.Name
}

// The API server goes away in the middle of a rollout, which ends once it is back. Until kube-proxy has heard that a
// server has ended, it leads questions there whose port has asked before; a resolver that knows several nodes asks the next.
func testAPIServerRestarted(t *testing.T, l *realcluster.Lab) {
	resolvers := askNodes(t, l, nodePort, func(i int) []*realcluster.Node {
		return slices.Concat(l.Nodes[i%len(l.Nodes):], l.Nodes)[:len(l.Nodes)]
	})
	asked, lost := countLost(t, l, func() {
		do(t, l, "kubectl -n minilb rollout restart daemonset minilb-dns")
		cluster.Eventually(t, readyTimeout, func() error {
			servers, err := l.Cluster.Client.AppsV1().DaemonSets(shipped.Namespace).Get(t.Context(), "minilb-dns", metav1.GetOptions{})
			if err == nil && servers.Status.UpdatedNumberScheduled == 0 {
				err = errors.New("the rollout has not begun")
			}
			return err
		})
		harness.Must(t, l.Cluster.StopAPIServer())
		time.Sleep(5 * time.Second) // as a restart of it takes
		harness.Must(t, l.Cluster.StartAPIServer(t.Context()))
		awaitReady(t, l, shipped.Namespace)
	})
	if lost > asked/200 {
		t.Errorf("%d of %d questions to one node each are lost", lost, asked)
	}
	for _, s := range resolvers {
		if lost := s.finish(t); lost > 0 {
			t.Errorf("%s: %d lost", s.what, lost)
		}
	}
	asking(t, l, func() { answersWith(t, l, 3) })
}

// Without their permissions servers and controller say what is missing, and names go on.
func testPermissionsRemoved(t *testing.T, l *realcluster.Lab) {
	manifest, err := shipped.Base()
	harness.Must(t, err)
	bindings := harness.OfKinds(t, manifest, "ClusterRoleBinding")
	t.Cleanup(func() { harness.Must(t, l.Cluster.Apply(context.WithoutCancel(t.Context()), bindings)) })
	asking(t, l, func() {
		harness.Must(t, l.Cluster.Delete(t.Context(), bindings))
		// Watches that run are not ended for that.
		harness.Must(t, l.Cluster.StopAPIServer())
		harness.Must(t, l.Cluster.StartAPIServer(t.Context()))
		cluster.Eventually(t, readyTimeout, func() error { return says(t, l, "forbidden") })
		cluster.Eventually(t, readyTimeout, func() error { return controllerSays(t, l, "forbidden") })
		if out, _ := harness.Minilb(t, "check", "-kubeconfig", l.Cluster.Kubeconfig).CombinedOutput(); !bytes.Contains(out, []byte("MissingRight")) {
			t.Errorf("%s", out)
		}
		answersWith(t, l, 3)
	})
	harness.Must(t, l.Cluster.Apply(t.Context(), bindings))
	awaitReady(t, l, shipped.Namespace)
}

// A node that is switched off and on again has its pods back, under other addresses.
func testReboot(t *testing.T, l *realcluster.Lab) {
	node := l.Nodes[2]
	node.PowerOff()
	harness.Must(t, node.PowerOn())
	comesBack(t, l, node)
}

// comesBack waits until a node that has been switched on again has its DNS server, and all is answered and reached.
func comesBack(t *testing.T, l *realcluster.Lab, node *realcluster.Node) {
	t.Helper()
	cluster.Eventually(t, readyTimeout, func() error {
		pod := dnsPod(t, l, node)
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].RestartCount == 0 || !ready(*pod) {
			return fmt.Errorf("%s is not back: %+v", pod.Name, pod.Status.ContainerStatuses)
		}
		return nil
	})
	awaitReady(t, l, "default")
	pagesOf(t, l, answersWith(t, l, 3))
	answersFromEachNode(t, l, nodePort)
}
