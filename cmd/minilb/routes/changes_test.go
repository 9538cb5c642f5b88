package routes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A node has come, one has another address, one has gone, and one has got its podCIDRs.
func TestWriteChanges(t *testing.T) {
	before := LAN{}.fromNodes([]*corev1.Node{
		node("a", "10.244.0.0/24 fd00:1::/64", "192.168.1.30 2001:db8::30"), node("b", "10.244.1.0/24", "192.168.1.31"),
		node("c", "10.244.2.0/24 fd00:3::/64", "192.168.1.32"), node("d", "", "192.168.1.33"),
	})
	now := LAN{}.fromNodes([]*corev1.Node{
		node("a", "10.244.0.0/24 fd00:1::/64", "192.168.1.40 2001:db8::30"),
		node("c", "10.244.2.0/24 fd00:3::/64", "192.168.1.32"), node("d", "10.244.3.0/24", "192.168.1.33"),
		node("e", "10.244.4.0/24 fd00:5::/64", "2001:db8::34"),
	})
	for name, want := range map[string]string{
		"ip": "ip route del 10.244.1.0/24 via 192.168.1.31\nip route replace 10.244.0.0/24 via 192.168.1.40\n" +
			"ip route replace 10.244.3.0/24 via 192.168.1.33\n# node e: no IPv4 InternalIP for 10.244.4.0/24\nip -6 route replace fd00:5::/64 via 2001:db8::34\n",
		"json": `{"event":"delete","node":"b","family":"ipv4","destination":"10.244.1.0/24","gateway":"192.168.1.31"}` + "\n" +
			`{"event":"replace","node":"a","family":"ipv4","destination":"10.244.0.0/24","gateway":"192.168.1.40"}` + "\n" +
			`{"event":"add","node":"d","family":"ipv4","destination":"10.244.3.0/24","gateway":"192.168.1.33"}` + "\n" +
			`{"event":"skip","node":"e","reason":"no IPv4 InternalIP for 10.244.4.0/24"}` + "\n" +
			`{"event":"add","node":"e","family":"ipv6","destination":"fd00:5::/64","gateway":"2001:db8::34"}` + "\n",
		"routeros": "/ip route remove [find dst-address=10.244.1.0/24 comment=\"minilb b\"]\n" +
			"/ip route set [find dst-address=10.244.0.0/24 comment=\"minilb a\"] gateway=192.168.1.40 comment=\"minilb a\"\n" +
			"/ip route add dst-address=10.244.3.0/24 gateway=192.168.1.33 comment=\"minilb d\"\n# node e: no IPv4 InternalIP for 10.244.4.0/24\n" +
			"/ipv6 route add dst-address=fd00:5::/64 gateway=2001:db8::34 comment=\"minilb e\"\n",
		"frr": "no ip route 10.244.1.0/24 192.168.1.31\nno ip route 10.244.0.0/24 192.168.1.30\nip route 10.244.0.0/24 192.168.1.40\n" +
			"ip route 10.244.3.0/24 192.168.1.33\n! node e: no IPv4 InternalIP for 10.244.4.0/24\nipv6 route fd00:5::/64 2001:db8::34\n",
	} {
		format, err := FormatByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := format.WriteChanges(Changes(before, now)); err != nil || got != want {
			t.Errorf("%s: %v, got\n%swant\n%s", name, err, got, want)
		}
		// What has always been is written as without -watch, but for JSON.
		got, err := format.WriteChanges(Changes(nil, now))
		whole, _ := format.Write(now, Options{})
		if err != nil || name != "json" && got != whole {
			t.Errorf("%s: %v, at first got\n%swant\n%s", name, err, got, whole)
		}
		if got, err := format.WriteChanges(Changes(now, now)); err != nil || got != "" {
			t.Errorf("%s: %v, of nothing got\n%s", name, err, got)
		}
		// Each line by itself is of use.
		for line := range strings.Lines(got) {
			if name == "json" && !json.Valid([]byte(line)) {
				t.Errorf("got %s", line)
			}
		}
	}
	for _, f := range Formats {
		if _, err := f.WriteChanges(nil); (err == nil) != (f.change != nil) || err != nil && err.Error() != "-watch prints a line for each change, and "+f.Name+" is written as a whole: choose ip, json, routeros or frr" {
			t.Errorf("%s: got error %v", f.Name, err)
		}
	}
}

// Where two nodes have one podCIDR, the route is that of the first (R2); when it goes, the other's.
func TestChangesOfOwner(t *testing.T) {
	a, b := node("a", "10.244.0.0/24", "192.168.1.30"), node("b", "10.244.0.0/24", "192.168.1.31")
	both, alone := LAN{}.fromNodes([]*corev1.Node{b, a}), LAN{}.fromNodes([]*corev1.Node{b})
	if got, want := replaced(both), "ip route replace 10.244.0.0/24 via 192.168.1.30\n# node b: podCIDR 10.244.0.0/24 is also that of node a\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	var got bytes.Buffer
	for _, c := range Changes(both, alone) {
		got.WriteString(ipChange(c))
	}
	if want := "ip route replace 10.244.0.0/24 via 192.168.1.31\n"; got.String() != want {
		t.Errorf("got\n%swant\n%s", &got, want)
	}
	// The same address under another name is another node's.
	renamed := LAN{}.fromNodes([]*corev1.Node{node("c", "10.244.0.0/24", "192.168.1.31")})
	changes := Changes(alone, renamed)
	if len(changes) != 1 || changes[0].Event != Replaced || frrChange(changes[0]) != "" {
		t.Errorf("got %v", changes)
	}
}
