package routes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// node returns a Node with the podCIDRs and the InternalIPs that are separated by spaces.
func node(name, cidrs, ips string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Spec.PodCIDRs = strings.Fields(cidrs)
	if len(n.Spec.PodCIDRs) > 0 {
		n.Spec.PodCIDR = n.Spec.PodCIDRs[0]
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeExternalIP, Address: "203.0.113.9"}}
	for _, ip := range strings.Fields(ips) {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	return n
}

func (lan LAN) fromNodes(nodes []*corev1.Node) []Entry { return lan.FromNodes(withPodCIDRs(nodes)) }

// withPodCIDRs returns the nodes with the pod networks that they have themselves.
func withPodCIDRs(nodes []*corev1.Node) []*Node {
	_, assigned, _ := LAN{}.Assign(ReadNodes(nodes), podnetworks.Found{}, nil)
	return assigned
}

func replaced(entries []Entry) string { return (&table{entries: entries}).lines(ipReplace) }

// R1, R2, M8
func TestOf(t *testing.T) {
	onlyPodCIDR := node("old", "", "192.168.1.31")
	onlyPodCIDR.Spec.PodCIDR = "10.244.1.0/24"
	ignored := node("ignored", "10.244.1.0/24", "192.168.1.31")
	ignored.Labels = map[string]string{"minilb/ignore": "true"}
	notIgnored := node("kept", "10.244.1.0/24", "192.168.1.31")
	notIgnored.Labels = map[string]string{"minilb/ignore": "false"}

	tests := []struct {
		name  string
		nodes []*corev1.Node
		want  string
	}{
		{"no nodes", nil, ""},
		{"one family", []*corev1.Node{node("a", "10.244.1.0/24", "192.168.1.31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n"},
		{"each family via its own", []*corev1.Node{node("a", "10.244.1.0/24 fd00:1::/64", "192.168.1.31 2001:db8::31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\nip -6 route replace fd00:1::/64 via 2001:db8::31\n"},
		{"IPv4 first, whatever the node's order", []*corev1.Node{node("a", "fd00:1::/64 10.244.1.0/24", "2001:db8::31 192.168.1.31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\nip -6 route replace fd00:1::/64 via 2001:db8::31\n"},
		{"the first InternalIP of the family", []*corev1.Node{node("a", "10.244.1.0/24", "2001:db8::31 192.168.1.31 10.9.9.9")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n"},
		{"no InternalIP of the family", []*corev1.Node{node("a", "10.244.1.0/24 fd00:1::/64", "192.168.1.31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n# node a: no IPv6 InternalIP for fd00:1::/64\n"},
		{"no InternalIP", []*corev1.Node{node("a", "10.244.1.0/24", "")},
			"# node a: no IPv4 InternalIP for 10.244.1.0/24\n"},
		{"no podCIDRs", []*corev1.Node{node("a", "", "192.168.1.31")},
			"# node a: no podCIDRs: nothing has set any\n"},
		{"podCIDR alone", []*corev1.Node{onlyPodCIDR},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n"},
		{"malformed podCIDR", []*corev1.Node{node("a", "10.244.1.0/33\nrm 10.244.2.0/24", "192.168.1.31")},
			"ip route replace 10.244.2.0/24 via 192.168.1.31\n# node a: podCIDR \"10.244.1.0/33\" is malformed\n# node a: podCIDR \"rm\" is malformed\n"},
		{"IPv4 in IPv6", []*corev1.Node{node("a", "10.244.1.0/24 ::ffff:10.244.2.0/120", "::ffff:192.168.1.31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n# node a: podCIDR \"::ffff:10.244.2.0/120\" is malformed\n"},
		{"malformed InternalIP", []*corev1.Node{node("a", "10.244.1.0/24", "192.168.1 192.168.1.31 fe80::1%eth0")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n# node a: InternalIP \"192.168.1\" is malformed\n# node a: InternalIP \"fe80::1%eth0\" is malformed\n"},
		{"host bits", []*corev1.Node{node("a", "10.244.1.7/24", "192.168.1.31")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n"},
		{"ignored", []*corev1.Node{ignored, notIgnored},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n"},
		{"by name", []*corev1.Node{node("c", "10.244.3.0/24", "192.168.1.33"), node("a", "10.244.1.0/24", "192.168.1.31"), node("b", "", "")},
			"ip route replace 10.244.1.0/24 via 192.168.1.31\n# node b: no podCIDRs: nothing has set any\nip route replace 10.244.3.0/24 via 192.168.1.33\n"},
	}
	for _, tc := range tests {
		if got := replaced(LAN{}.fromNodes(tc.nodes)); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, got, tc.want)
		}
	}
	if got, want := IP(LAN{}.fromNodes(tests[2].nodes)), "ip route add 10.244.1.0/24 via 192.168.1.31\nip -6 route add fd00:1::/64 via 2001:db8::31\n"; got != want {
		t.Errorf("add: got\n%swant\n%s", got, want)
	}
}

// What is wrong with an entry is told from what else may be. R1
func TestKinds(t *testing.T) {
	var got []string
	for _, e := range (LAN{}).fromNodes([]*corev1.Node{node("a", "10.244.1.0/24 fd00:1::/64", "192.168.1.31"), node("b", "10.244.1.0/24", "192.168.1.32"), node("c", "", ""), node("d", "10.244.2.0/33 10.244.4.0/24", "192.168.1.34 x")}) {
		if (e.Kind == "") != (e.Problem == "") || (e.Problem == "") != e.Gateway.IsValid() {
			t.Errorf("got %+v", e)
		}
		got = append(got, strings.TrimSpace(e.Node+" "+string(e.Kind)))
	}
	if want := "a, a NoInternalIP, b SamePodCIDR, c NoPodCIDR, d, d NoPodCIDR, d MalformedIP"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

// R1, R2
func TestJSON(t *testing.T) {
	tests := []struct {
		name  string
		nodes []*corev1.Node
		want  string
	}{
		{"nothing", nil, `{"routes":[],"skipped":[]}`},
		{"both", []*corev1.Node{node("a", "10.244.1.0/24 fd00:1::/64", "192.168.1.31 2001:db8::31"), node("b", "10.244.2.0/24", "")},
			`{"routes":[{"node":"a","family":"ipv4","destination":"10.244.1.0/24","gateway":"192.168.1.31"},` +
				`{"node":"a","family":"ipv6","destination":"fd00:1::/64","gateway":"2001:db8::31"}],` +
				`"skipped":[{"node":"b","reason":"no IPv4 InternalIP for 10.244.2.0/24"}]}`},
	}
	for _, tc := range tests {
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(jsonDocument(&table{entries: LAN{}.fromNodes(tc.nodes)}))); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(compact.String()); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}
