package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct {
		name   string
		args   []string
		status int
		stdout string // contained in standard output; empty is none at all
		stderr string // likewise
	}{
		{"nothing", nil, 2, "", `minilb: name a subcommand: check, controller, explain, policy, routes or version (see "minilb -h")`},
		{"help", []string{"-h"}, 0, "minilb controller [flags]", ""},
		{"help in a word", []string{"help"}, 0, "minilb controller [flags]", ""},
		{"unknown subcommand", []string{"contrller"}, 2, "", `minilb: unknown subcommand "contrller": choose check, controller, explain, policy, routes or version (see "minilb -h")`},
		{"version", []string{"version"}, 0, "minilb ", ""},
		{"version's flag", []string{"-version"}, 0, "minilb ", ""},
		{"version's long flag", []string{"--version"}, 0, "minilb ", ""},
		{"version's help", []string{"version", "-h"}, 0, "Usage:\n  minilb version\n", ""},
		{"version's argument", []string{"version", "x"}, 2, "", `minilb version: unexpected argument "x"`},
		{"controller's help", []string{"controller", "-h"}, 0, `(default ":8080")`, ""},
		{"controller's resync", []string{"controller", "-h"}, 0, "0 is never (default 300)", ""},
		{"controller's argument", []string{"controller", "x"}, 2, "", `minilb controller: unexpected argument "x" (see "minilb controller -h")`},
		{"unknown flag", []string{"controller", "-ttl", "5"}, 2, "", `minilb controller: flag provided but not defined: -ttl (see "minilb controller -h")`},
		{"no number", []string{"controller", "-resync", "x"}, 2, "", `invalid value "x" for flag -resync`},
		{"negative resync", []string{"controller", "-resync", "-1"}, 2, "", "minilb controller: -resync -1: want seconds from 0"},
		{"endless resync", []string{"controller", "-resync", "9999999999"}, 2, "", "-resync 9999999999"},
		{"empty domain", []string{"controller", "-domain", ""}, 2, "", "minilb controller: -domain: the name is empty"},
		{"bad domain", []string{"controller", "-domain", "a_b"}, 2, "", `"a_b": it is not a DNS name`},
		{"bad class", []string{"controller", "-class", "a b"}, 2, "", `-class "a b" is not a valid loadBalancerClass`},
		{"empty class", []string{"controller", "-class", ""}, 2, "", `-class "" is not a valid loadBalancerClass`},
		{"controller's Corefile", []string{"controller", "-corefile", missing}, 1, "", "minilb: -corefile: open " + missing},
		{"controller's kubeconfig", []string{"controller", "-kubeconfig", missing}, 1, "", fmt.Sprintf("minilb: kubeconfig %q does not exist", missing)},
		{"cleanup's bad class", []string{"controller", "-cleanup", "-class", "a b"}, 2, "", `-class "a b" is not a valid loadBalancerClass`},
		{"explain's help", []string{"explain", "-h"}, 0, "minilb explain [flags] NAME...", ""},
		{"explain nothing", []string{"explain"}, 2, "", `minilb explain: NAME is missing (see "minilb explain -h")`},
		{"explain no name", []string{"explain", "a..b"}, 2, "", `minilb explain: "a..b" is not a DNS name`},
		{"explain an address with a port", []string{"explain", "10.0.0.1:80"}, 2, "", `minilb explain: "10.0.0.1:80" is not a DNS name`},
		{"explain's format", []string{"explain", "a.org", "-o", "xml"}, 2, "", `minilb explain: -o "xml": choose text or json`},
		{"explain's Corefile", []string{"explain", "-corefile", missing, "a.org"}, 2, "", "minilb explain: -corefile: open " + missing},
		{"explain's Corefile and class", []string{"explain", "a.org", "-corefile", missing, "-class", "x"}, 2, "", "leave out -domain, -class and -default-class"},
		{"explain's kubeconfig", []string{"explain", "a.org", "-kubeconfig", missing}, 1, "", fmt.Sprintf("minilb: kubeconfig %q does not exist", missing)},
		{"routes' help", []string{"routes", "-h"}, 0, `"skipped"`, ""},
		{"check's help", []string{"check", "-h"}, 0, "Exit status: 0 without errors and warnings, 1 with some, 2 if", ""},
		{"check's format", []string{"check", "-o", "yaml"}, 2, "", `minilb check: -o "yaml": choose text or json (see "minilb check -h")`},
		{"check's server", []string{"check", "-server", "192.0.2.1:x"}, 2, "", `minilb check: -server "192.0.2.1:x": want an ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT`},
		{"check's account", []string{"check", "-dns-account", "minilb-dns"}, 2, "", `minilb check: -dns-account "minilb-dns": want NAMESPACE/NAME, auto or nothing`},
		{"check's domain", []string{"check", "-domain", "a_b"}, 2, "", `minilb check: -domain: "a_b": it is not a DNS name`},
		{"check's kubeconfig", []string{"check", "-kubeconfig", missing}, 2, "", fmt.Sprintf("minilb: kubeconfig %q does not exist", missing)},
		{"on-link to none", []string{"routes", "-o", "onlink", "-interface", "eth0", "-within", "fd00:10:244::/56"}, 2, "", "minilb routes: name the cluster's IPv4 pod network with -within, such as 10.244.0.0/16: onlink needs it, as the API server does not have it"},
		{"on-link by none", []string{"routes", "-o", "onlink", "-within", "10.244.0.0/16"}, 2, "", "minilb routes: name this host's interface to the LAN with -interface, such as br-lan or eth0: onlink needs it"},
		{"on-link watched", []string{"routes", "-o", "onlink", "-within", "10.244.0.0/16", "-interface", "eth0", "-watch"}, 2, "", "minilb routes: -watch prints a line for each change, and onlink is written as a whole: choose ip, json, routeros or frr"},
		{"policy's help", []string{"policy", "-h"}, 0, "The cluster's network plugin enforces it", ""},
		{"policy's networks", []string{"policy", "-from", "lan"}, 2, "", `minilb policy: invalid value "lan" for flag -from: want networks`},
		{"policy's kubeconfig", []string{"policy", "-kubeconfig", missing}, 1, "", fmt.Sprintf("minilb: kubeconfig %q does not exist", missing)},
		{"unknown format", []string{"routes", "-o", "xml"}, 2, "", `minilb routes: -o "xml": choose one of ip, json, routeros, openwrt`},
		{"watched as a whole", []string{"routes", "-watch", "-o", "netplan"}, 2, "", "minilb routes: -watch prints a line for each change, and netplan is written as a whole: choose ip, json, routeros or frr"},
		{"servers watched", []string{"routes", "-watch", "-o", "dnsmasq-server"}, 2, "", "minilb routes: -watch is for routes, and dnsmasq-server has none: leave it out"},
		{"servers applied", []string{"routes", "-apply", "-o", "bind-server"}, 2, "", "minilb routes: -apply and -o exclude each other: leave one out"},
		{"servers within", []string{"routes", "-within", "10.244.0.0/16", "-o", "unbound-server"}, 2, "", "minilb routes: -within is for routes, and unbound-server has none: leave it out"},
		{"zone of routes", []string{"routes", "-domain", "minilb"}, 2, "", "minilb routes: -domain is for the formats of resolvers, such as -o dnsmasq-server"},
		{"bad zone", []string{"routes", "-o", "bind-server", "-domain", "minilb,a b"}, 2, "", `minilb routes: invalid value "minilb,a b" for flag -domain: "a b"`},
		{"bad Service", []string{"routes", "-o", "bind-server", "-dns-service", "minilb"}, 2, "", `minilb routes: invalid value "minilb" for flag -dns-service: want namespace/name, such as minilb/minilb-dns`},
		{"subnet of none", []string{"routes", "-subnet", "192.168.1.0/24"}, 2, "", "minilb routes: -subnet: ip has none"},
		{"ASN of others", []string{"routes", "-asn", "64512"}, 2, "", "minilb routes: -asn: ip has none"},
		{"bad ASN", []string{"routes", "-o", "frr-k8s", "-asn", "4294967296"}, 2, "", `minilb routes: invalid value "4294967296" for flag -asn: want a number from 1 to 4294967295`},
		{"ASN of servers", []string{"routes", "-asn", "64512", "-o", "unbound-server"}, 2, "", "minilb routes: -asn is for routes, and unbound-server has none: leave it out"},
		{"BGP without a router", []string{"routes", "-o", "frr-k8s"}, 2, "", "minilb routes: name the LAN's router with -gateway: by frr-k8s the nodes tell it their routes"},
		{"no subnet", []string{"routes", "-o", "vyos-dhcp", "-gateway", "192.168.1.1"}, 2, "", "minilb routes: name the subnet of the LAN with -subnet, such as 192.168.1.0/24: vyos-dhcp needs it"},
		{"bad subnet", []string{"routes", "-o", "vyos-dhcp", "-gateway", "192.168.1.1", "-subnet", "lan"}, 2, "", `minilb routes: -subnet "lan": want an IPv4 prefix`},
		{"subnet of others", []string{"routes", "-o", "vyos-dhcp", "-gateway", "192.168.1.1", "-subnet", "192.168.2.0/24"}, 2, "", "minilb routes: -gateway 192.168.1.1 is not in -subnet 192.168.2.0/24: name the router of that network"},
		{"bad router", []string{"routes", "-gateway", "router"}, 2, "", `minilb routes: -gateway "router": want an address, such as 192.168.1.1`},
		{"clean beside", []string{"routes", "-cleanup", "-gateway", "192.168.1.1"}, 2, "", "minilb routes: -cleanup and -gateway exclude each other: leave one out"},
		{"nodes in none", []string{"routes", "-nodes-in", "192.168.1.0/24,lan"}, 2, "", `minilb routes: invalid value "192.168.1.0/24,lan" for flag -nodes-in: want networks separated by commas, such as 192.168.1.0/24`},
		{"clean within", []string{"routes", "-cleanup", "-within", "10.244.0.0/16"}, 2, "", "minilb routes: -cleanup and -within exclude each other: leave one out"},
		{"pods in none", []string{"controller", "-within", "10.244.0.0"}, 2, "", `minilb controller: invalid value "10.244.0.0" for flag -within: want networks separated by commas, such as 192.168.1.0/24`},
		{"pods in a mapped one", []string{"check", "-within", "::ffff:10.0.0.0/104"}, 2, "", `minilb check: invalid value "::ffff:10.0.0.0/104" for flag -within: want networks separated by commas, such as 192.168.1.0/24`},
		{"clean where", []string{"routes", "-cleanup", "-nodes-in", "192.168.1.0/24"}, 2, "", "minilb routes: -cleanup and -nodes-in exclude each other: leave one out"},
		{"applied and watched", []string{"routes", "-watch", "-apply"}, 2, "", "minilb routes: -apply and -watch exclude each other: leave one out"},
		{"applied in a format", []string{"routes", "-apply", "-o", "ip"}, 2, "", "minilb routes: -apply and -o exclude each other: leave one out"},
		{"routes' kubeconfig", []string{"routes", "-kubeconfig", missing}, 1, "", fmt.Sprintf("minilb: kubeconfig %q does not exist", missing)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), tc.args, &stdout, &stderr); status != tc.status {
				t.Errorf("got exit status %d, want %d", status, tc.status)
			}
			for _, out := range []struct{ name, got, want string }{{"stdout", stdout.String(), tc.stdout}, {"stderr", stderr.String(), tc.stderr}} {
				if !strings.Contains(out.got, out.want) || (out.want == "") != (out.got == "") {
					t.Errorf("%s: got %q, want %q in it", out.name, out.got, out.want)
				}
			}
			if lines := strings.Count(stderr.String(), "\n"); lines > 1 {
				t.Errorf("%d lines on stderr, want one", lines)
			}
			for line := range strings.Lines(stdout.String()) {
				if line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "    \t", "        "); len(line) > 80 {
					t.Errorf("%d columns: %s", len(line), line)
				}
			}
		})
	}
}

// Every flag of each subcommand that the usage names is described, and no other.
func TestHelp(t *testing.T) {
	flags := map[string]string{
		"controller": "class cleanup context corefile default-class domain events health kubeconfig pods resync v within",
		"routes":     "apply asn cleanup context dns-service domain gateway interface kubeconfig nodes-in o pods subnet watch within",
		"check":      "class context controller-account corefile default-class dns-account domain kubeconfig nodes-in o pods server within",
		"explain":    "class client context corefile default-class domain kubeconfig o",
		"policy":     "class context corefile default-class domain from kubeconfig",
		"version":    "",
	}
	named := subcommands()
	if got, want := slices.Sorted(maps.Keys(flags)), slices.Sorted(slices.Values(named)); !slices.Equal(got, want) {
		t.Errorf("the flags are known of %q, the usage names %q", got, want)
	}
	for _, subcommand := range named {
		var stdout bytes.Buffer
		run(t.Context(), []string{subcommand, "-help"}, &stdout, new(bytes.Buffer))
		var got []string
		for line := range strings.Lines(stdout.String()) {
			if name, ok := strings.CutPrefix(line, "  -"); ok {
				got = append(got, strings.Fields(name)[0])
			}
		}
		if want := flags[subcommand]; strings.Join(got, " ") != want {
			t.Errorf("%s: got flags %q, want %q", subcommand, got, want)
		}
		if !strings.Contains(stdout.String(), "\nExample:\n  minilb "+subcommand) {
			t.Errorf("%s: no example", subcommand)
		}
	}
}

// A port in use, and an API server that is not there, are told in one line.
func TestRunFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	kubeconfig := writeKubeconfig(t, "https://127.0.0.1:1")

	helped := filepath.Join(t.TempDir(), "helped")
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("{token: t}"), []byte("{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, interactiveMode: Never}}"), 1)
	if err := os.WriteFile(helped, text, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"port in use", []string{"controller", "-kubeconfig", kubeconfig, "-health", listener.Addr().String()}, "address already in use"},
		{"no address", []string{"controller", "-kubeconfig", kubeconfig, "-health", "nonsense"}, "-health"},
		{"cleanup without an API server", []string{"controller", "-cleanup", "-kubeconfig", kubeconfig, "-health", listener.Addr().String()}, "cannot reach the API server at 127.0.0.1:1: "},
		{"no API server", []string{"routes", "-kubeconfig", kubeconfig}, "cannot reach the API server at 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"controller without the program for credentials", []string{"controller", "-kubeconfig", helped, "-health", ""}, `its user gets credentials from the program "no-such-login", which is not installed here; install it or use a token`},
		{"routes without the program for credentials", []string{"routes", "-kubeconfig", helped}, `its user gets credentials from the program "no-such-login"`},
		{"no such context", []string{"routes", "-kubeconfig", kubeconfig, "-context", "x"}, `has no context "x"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), tc.args, &stdout, &stderr)
			if status != 1 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 ||
				!strings.HasPrefix(stderr.String(), "minilb: ") || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("got exit status %d, stdout %q, stderr %q; want 1 and a line with %q", status, &stdout, &stderr, tc.want)
			}
		})
	}
}

// The end of the context is the end of what runs, and not a failure.
func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	kubeconfig := writeKubeconfig(t, "https://127.0.0.1:1")
	for _, args := range [][]string{{"controller", "-kubeconfig", kubeconfig, "-health", ""}, {"routes", "-kubeconfig", kubeconfig}, {"routes", "-watch", "-kubeconfig", kubeconfig}} {
		if status := run(ctx, args, &stdout, &stderr); status != 0 {
			t.Errorf("%s: got exit status %d, stderr %q", args[0], status, &stderr)
		}
	}
}

// R3: routes are printed whether or not it can be told where the pods are; what is wrong with
// them is said on standard error.
func TestRunRoutes(t *testing.T) {
	const nodes = `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"},"spec":{"podCIDRs":["10.244.1.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.1.31"}]}}]}`
	const route = "ip route replace 10.244.1.0/24 via 192.168.1.31\n"
	const groups = `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps"}]}`
	const firewall = `hint: if this router filters packets, accept LAN-to-podCIDR traffic statelessly:
      replies bypass this router
` // R14
	for _, tc := range []struct{ name, slices, stderr string }{
		{"no pods", `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[]}`,
			firewall + "minilb: pod networks: podcidrs: nothing else says which networks pods have, and there is no pod to compare\n"},
		{"a pod outside", `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[{"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"nodeName":"a"}]}]}`,
			firewall + "minilb: pod networks: podcidrs: nothing else says which networks pods have; 0 of 1 pod IPs are in its networks of their nodes\n" +
				`warning: pod IP outside podCIDRs; routes printed will not work: node a: 1 of 1
         pod IPs are outside 10.244.1.0/24, for example 10.0.0.1
hint: the CNI does not use the nodes' podCIDRs: see "minilb routes -h" for what
      -pods knows, or have the CNI give pods addresses out of the podCIDRs
`},
		{"pods unknown", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","message":"what","code":400}`,
			"warning: podCIDRs are not compared with the API server's own addresses: endpointslices: cannot list: what\n" +
				firewall + "minilb: pod networks: podcidrs: nothing else says which networks pods have, and there is no pod to compare\n" +
				"warning: pod IPs not compared with podCIDRs: endpointslices: cannot list: what\n"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if answer := map[string]string{"/api/v1/nodes": nodes, "/apis": groups}[r.URL.Path]; answer != "" {
				io.WriteString(w, answer)
				return
			}
			if strings.Contains(tc.slices, "Failure") {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, tc.slices)
		}))
		defer server.Close()
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"routes", "-kubeconfig", writeKubeconfig(t, server.URL)}, &stdout, &stderr)
		if status != 0 || stdout.String() != route || stderr.String() != tc.stderr {
			t.Errorf("%s: got exit status %d, stdout %q, stderr %q", tc.name, status, &stdout, &stderr)
		}
	}
}

// What leaves nothing to print, or nothing that can be used, is said on standard error, and is a failure
// (R9, R22).
func TestRunRoutesNothing(t *testing.T) {
	var many []string
	for i := range 32 {
		many = append(many, fmt.Sprintf(`{"metadata":{"name":"n%d"},"spec":{"podCIDRs":["10.244.%d.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.1.%d"}]}}`, i, i, i+50))
	}
	const bare = `{"metadata":{"name":"a"}}`
	for _, tc := range []struct{ name, nodes, flags, stdout, stderr string }{
		{"no nodes", "", "", "", "minilb: no routes: the cluster has no nodes, or all have the label minilb/ignore\n"},
		{"no podCIDRs", bare, "-o netplan", "", "minilb: node a: no podCIDRs: nothing has set any\nminilb: no routes: no node has a podCIDR and an InternalIP that make one\n"},
		{"in JSON", bare, "-o json", `"skipped": [`, "minilb: node a: no podCIDRs: nothing has set any\nminilb: no routes: no node has a podCIDR and an InternalIP that make one\n"},
		{"radvd for IPv4", many[0], "-o radvd", "", "minilb: no routes: radvd is for IPv6, and no node has a podCIDR and an InternalIP of it; choose another format with -o\n"},
		{"too many", strings.Join(many, ","), "-o openwrt-dhcp -gateway 192.168.1.1", "", "minilb: 32 routes are too many for dnsmasq, which does not start with an option of more than 255 bytes or a line of more than 1024: " +
			"give the router the routes instead, such as by -o openwrt or -o ip, or use a DHCP server that splits options, such as by -o kea\n"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/apis" {
				io.WriteString(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps"}]}`)
				return
			}
			io.WriteString(w, `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[`+tc.nodes+`]}`)
		}))
		defer server.Close()
		var stdout, stderr bytes.Buffer
		args := append([]string{"routes", "-kubeconfig", writeKubeconfig(t, server.URL)}, strings.Fields(tc.flags)...)
		if status := run(t.Context(), args, &stdout, &stderr); status != 1 || (stdout.String() == "") != (tc.stdout == "") || !strings.Contains(stdout.String(), tc.stdout) || stderr.String() != tc.stderr {
			t.Errorf("%s: got exit status %d, stdout %q, stderr %q", tc.name, status, &stdout, &stderr)
		}
	}
}

func writeKubeconfig(t *testing.T, server string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "` + server + `"}}]
contexts: [{name: c, context: {cluster: c, user: c}}]
users: [{name: c, user: {token: t}}]
current-context: c
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
