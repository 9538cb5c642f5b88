package routes

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// routed are the routes that the programs are to set, of two nodes and both families.
var routed = []*corev1.Node{
	node("node1", "10.244.0.0/24 fd00:0:0:1::/64", "192.168.1.30 2001:db8::30"),
	node("node2", "10.244.1.0/24", "192.168.1.31"),
}

// The programs that the formats are for take what is written, whatever some nodes have in them (R15). Where one is not installed its part
// is skipped; where all must be, it fails.
func TestPrograms(t *testing.T) {
	entries := LAN{}.fromNodes(append(hostileNodes(),
		node("node1", "10.244.0.0/24 fd00:0:0:1::/64", "192.168.1.30 2001:db8::30"),
		node("node.two-3", "10.244.128.0/17 fd00:0:0:2::/64", "192.168.1.31 2001:db8::31"),
		node("old", "", "192.168.1.32"),
	))
	for _, tc := range []struct {
		format, program, debianPackage string
		file                           string   // what is made of the text, TEXT
		args                           []string // FILE is where that is
		want                           string   // in what the program prints
	}{
		{"frr", "vtysh", "frr", "TEXT", []string{"--dryrun", "--inputfile", "FILE"}, ""},
		{"bird", "bird", "bird2", "protocol device {}\nTEXT", []string{"-p", "-c", "FILE"}, ""},
		{"radvd", "radvd", "radvd", "TEXT", []string{"--configtest", "--config", "FILE"}, "config file, FILE, syntax ok"},
		{"dnsmasq", "dnsmasq", "dnsmasq-base", "dhcp-range=192.168.1.100,192.168.1.200\nTEXT", []string{"--test", "--conf-file=FILE"}, "syntax check OK"},
		{"isc", "dhcpd", "isc-dhcp-server", "TEXTsubnet 192.168.1.0 netmask 255.255.255.0 { range 192.168.1.100 192.168.1.200; }\n", []string{"-t", "-cf", "FILE"}, ""},
		{"kea", "kea-dhcp4", "kea-dhcp4-server", `{"Dhcp4": {"interfaces-config": {"interfaces": []}, "lease-database": {"type": "memfile", "persist": false},
			"subnet4": [{"subnet": "192.168.1.0/24", "pools": [{"pool": "192.168.1.100-192.168.1.200"}],
			TEXT}]}}`, []string{"-t", "FILE"}, ""},
	} {
		t.Run(tc.format, func(t *testing.T) {
			path := program(t, tc.program, tc.debianPackage)
			file := filepath.Join(t.TempDir(), "conf")
			text := written(t, tc.format, entries)
			if tc.format == "radvd" { // a file for each node
				_, text, _ = strings.Cut(text, "# /etc/radvd.conf of node node1\n")
			}
			write(t, file, strings.Replace(tc.file, "TEXT", text, 1))
			args := make([]string, len(tc.args))
			for i := range args {
				args[i] = strings.ReplaceAll(tc.args[i], "FILE", file)
			}
			out, err := exec.Command(path, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), strings.ReplaceAll(tc.want, "FILE", file)) {
				t.Errorf("%s: %v\n%s", tc.program, err, out)
			}
			// That it has looked at all: without the routes' sense it complains.
			broken, _ := os.ReadFile(file)
			text = strings.NewReplacer("192.168.1.31", "192.168.1.310", "c0a8011e", "zz", "192, 168", "1922, 168", "::/64", "::/999").Replace(string(broken))
			write(t, file, text)
			if out, err := exec.Command(path, args...).CombinedOutput(); err == nil && !strings.Contains(string(out), "rror") && !strings.Contains(string(out), "nvalid") {
				t.Errorf("%s takes nonsense, too:\n%s", tc.program, out)
			}
		})
	}
}

// R23: the resolvers take the lines that are for them.
func TestResolverPrograms(t *testing.T) {
	servers := []netip.AddrPort{netip.MustParseAddrPort("192.168.1.30:30053"), netip.MustParseAddrPort("[2001:db8::31]:53")}
	for _, tc := range []struct {
		format, program, debianPackage string
		file                           string   // what is made of the text, TEXT, and of what its comments have for options, OPTIONS
		args                           []string // FILE is where that is
	}{
		{"dnsmasq-server", "dnsmasq", "dnsmasq-base", "stop-dns-rebind\nTEXT", []string{"--test", "--conf-file=FILE"}},
		{"unbound-server", "unbound-checkconf", "unbound", "server:\n    private-address: 10.0.0.0/8\nTEXT", []string{"FILE"}},
		{"bind-server", "named-checkconf", "bind9-utils", "options { deny-answer-addresses { 10.0.0.0/8; } EXCEPT; OPTIONS };\nTEXT", []string{"FILE"}},
	} {
		t.Run(tc.format, func(t *testing.T) {
			path := program(t, tc.program, tc.debianPackage)
			file := filepath.Join(t.TempDir(), "conf")
			text := ofResolver(t, tc.format, []string{"minilb", "example.org"}, servers)
			_, options, _ := strings.Cut(strings.Split(text, "\n")[0], "# in options: ")
			_, except, _ := strings.Cut(strings.Split(text, "\n")[1], "if it has that: ")
			text = strings.NewReplacer("TEXT", text, "OPTIONS", options, "EXCEPT", except).Replace(tc.file)
			write(t, file, text)
			args := strings.Split(strings.ReplaceAll(strings.Join(tc.args, "\n"), "FILE", file), "\n")
			if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s%s", tc.program, err, out, text)
			}
			// That it has looked at all.
			write(t, file, strings.Replace(text, "192.168.1.30", "192.168.1.300", 1))
			if out, err := exec.Command(path, args...).CombinedOutput(); err == nil {
				t.Errorf("%s takes nonsense, too:\n%s", tc.program, out)
			}
		})
	}
}

// netplan makes systemd's configuration of its format.
func TestNetplan(t *testing.T) {
	path := program(t, "netplan", "netplan.io")
	root := t.TempDir()
	entries := LAN{}.fromNodes(append(hostileNodes(), node("node1", "10.244.0.0/24 fd00:0:0:1::/64", "192.168.1.30 2001:db8::30")))
	file := filepath.Join(root, "etc/netplan/minilb.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, file, written(t, "netplan", entries))
	if out, err := exec.Command(path, "generate", "--root-dir", root).CombinedOutput(); err != nil {
		t.Fatalf("netplan: %v\n%s", err, out)
	}
	if all, err := filepath.Glob(filepath.Join(root, "run/systemd/network/*")); err != nil || len(all) != 1 {
		t.Errorf("it has made %q, %v", all, err)
	}
	made, err := os.ReadFile(filepath.Join(root, "run/systemd/network/10-netplan-eth0.network"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"[Route]\nDestination=10.244.0.0/24\nGateway=192.168.1.30\n", "[Route]\nDestination=fd00:0:0:1::/64\nGateway=2001:db8::30\n"} {
		if !strings.Contains(string(made), want) {
			t.Errorf("got\n%swant\n%s", made, want)
		}
	}
}

// written returns the entries in a format.
func written(t *testing.T, name string, entries []Entry) string {
	t.Helper()
	format, err := FormatByName(name)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Interface: tag(format)}
	if format.Gateway {
		options.Gateway = netip.MustParseAddr("192.168.1.1")
	}
	text, err := format.Write(entries, options)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// program returns the path of a program of one of Debian's packages.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	complain := t.Skipf
	if os.Getenv("MINILB_REQUIRE_PROGRAMS") != "" {
		complain = t.Fatalf
	}
	complain("%s is not installed: apt-get install %s", name, debianPackage)
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
