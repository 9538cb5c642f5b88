package resolvers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// discoveryPods are how many pods the Services have that are discovered.
var discoveryPods = []int{20, 100}

// TestDiscovery lets programs that take each address as a server of its own discover a Service: once
// they have them all, none goes for as long as no pod does (D23b).
func TestDiscovery(t *testing.T) {
	t.Parallel()
	const limited, whole, shipped = "127.0.54.11", "127.0.54.12", "127.0.54.13" // the last as in the Corefiles that are shipped
	for _, host := range []string{limited, whole, shipped} {
		if err := bindable(host + ":53"); err != nil {
			t.Skipf("Prometheus asks at no port but 53, and it is not to be had: %v", err)
		}
	}
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ns := harness.NewNamespace(t, c)
	for _, pods := range discoveryPods {
		service := fmt.Sprint("s", pods)
		harness.Must(t, c.Apply(t.Context(), strings.Replace(fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{name: http, port: 80}]}
---
`, service, ns)+harness.StaticSlice(ns, service, "IPv4", numbered("198.51.100.%d", pods)...), "endpoints:", "ports: [{name: http, port: 8080}]\nendpoints:", 1)))
	}
	block := `.:53 {
		bind %s
		%s
		errors
		minilb minilb {
			kubeconfig ` + kubeconfig + `
			namespaces ` + ns + `
			%s
		}
	}
	`
	s := harness.LaunchCoreDNS(t, harness.CoreDNSBinary, fmt.Sprintf(block, limited, "READY", "")+fmt.Sprintf(block, whole, "", "max_answers 0")+fmt.Sprintf(block, shipped, "bufsize 1232", ""))
	s.Addr = limited + ":53"
	s.WaitListening(t)
	s.WaitReady(t)
	watched := 15 * time.Second
	if harness.Full {
		watched = time.Minute
	}

	t.Run("HAProxy", func(t *testing.T) {
		t.Parallel()
		haproxyDiscovers(t, ns, limited, whole, shipped, watched)
	})
	for kind, server := range map[string]string{"SRV": shipped, "A": whole} {
		t.Run("Prometheus "+kind, func(t *testing.T) {
			t.Parallel()
			prometheusDiscovers(t, ns, kind, server, watched)
		})
	}
}

// steady waits until look returns these counts, by name, and then fails the test if it returns others
// within a time.
func steady(t *testing.T, want map[string]int, watched time.Duration, look func() (map[string]int, error)) {
	t.Helper()
	same := func() error {
		got, err := look()
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			err = fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	}
	cluster.Eventually(t, 60*time.Second, same)
	for end := time.Now().Add(watched); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := same(); err != nil {
			t.Fatal(err)
		}
	}
}

// haproxyDiscovers runs HAProxy with a server template for each way to ask. With less room than the
// records take it has as many servers as fit, and keeps them: it does not ask again by TCP, but can ask
// by nothing else.
func haproxyDiscovers(t *testing.T, namespace, limited, whole, shipped string, watched time.Duration) {
	haproxy := harness.Program(t, "haproxy", "haproxy")
	config := `
global
    stats socket DIR/socket mode 600 level admin
    log stdout format raw local0
defaults
    mode http
    timeout connect 2s
    timeout client 5s
    timeout server 5s
    log global
`
	for name, section := range map[string]string{
		"small":         "nameserver m1 " + limited + ":53",
		"large":         "nameserver m1 " + limited + ":53\n    accepted_payload_size 8192",
		"whole":         "nameserver m1 " + whole + ":53\n    accepted_payload_size 8192",
		"small-shipped": "nameserver m1 " + shipped + ":53\n    accepted_payload_size 8192",
		"tcp":           "nameserver m1 tcp@" + shipped + ":53\n    accepted_payload_size 65535",
	} {
		config += "resolvers " + name + "\n    " + section + "\n    hold valid 1s\n    timeout resolve 1s\n    timeout retry 1s\n"
	}
	want := map[string]int{}
	for _, pods := range discoveryPods {
		for _, by := range []string{"small", "large", "whole", "small-shipped", "tcp"} {
			backend, asked := fmt.Sprint(by, pods), fmt.Sprintf("_http._tcp.s%d.%s.minilb", pods, namespace)
			if want[backend] = pods; by == "whole" {
				asked = fmt.Sprintf("s%d.%s.minilb:8080", pods, namespace)
			}
			config += fmt.Sprintf("backend %s\n    server-template pod %d %s resolvers %s init-addr none\n", backend, pods+5, asked, by)
		}
	}
	path := harness.ConfigFile(t, "haproxy.cfg", config)
	socket := filepath.Join(filepath.Dir(path), "socket")
	daemon := harness.StartDaemon(t, func() error {
		_, err := haproxyServers(socket)
		return err
	}, haproxy, "-db", "-f", path)
	look := func() (map[string]int, error) {
		servers, err := haproxyServers(socket)
		for backend, n := range servers {
			if few := want[backend]; strings.HasPrefix(backend, "small") && 5 <= n && n < few {
				servers[backend] = few
			}
		}
		return servers, err
	}
	steady(t, want, watched, look)
	if removed := regexp.MustCompile(`(?m)^.*(\bgoing DOWN\b|entering maintenance|changed its IP from [0-9]).*$`).FindAllString(daemon.Log.String(), -1); len(removed) > 0 {
		t.Errorf("%d servers were removed, such as: %s", len(removed), removed[0])
	}
}

// haproxyServers returns how many servers each backend of a HAProxy has that have an address.
func haproxyServers(socket string) (map[string]int, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "show servers state")
	text, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	servers := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[0] != "#" { // be_id be_name srv_id srv_name srv_addr …
			servers[fields[1]] += 0
			if net.ParseIP(fields[4]) != nil && fields[4] != "0.0.0.0" {
				servers[fields[1]]++
			}
		}
	}
	return servers, nil
}

// prometheusDiscovers runs Prometheus with the server as its resolver. It scrapes nothing for the time
// being: its targets are what it is asked for.
func prometheusDiscovers(t *testing.T, namespace, kind, server string, watched time.Duration) {
	prometheus := harness.Program(t, "prometheus", "prometheus")
	unshare := harness.Program(t, "unshare", "util-linux")
	if _, err := harness.Run(t, unshare, "-m", "mount", "--bind", "/etc", "/etc"); err != nil {
		t.Skipf("Prometheus finds its server by /etc/resolv.conf, and it cannot have one of its own: %v", err)
	}
	config, want := "global: {scrape_interval: 1h}\nscrape_configs:\n", map[string]int{}
	for _, pods := range discoveryPods {
		job, name, more := fmt.Sprint("pods", pods), fmt.Sprintf("s%d.%s.minilb.", pods, namespace), "type: A, port: 8080"
		if kind == "SRV" {
			name, more = "_http._tcp."+name, "type: SRV"
		}
		want[job] = pods
		config += fmt.Sprintf("- {job_name: %s, dns_sd_configs: [{names: [%s], refresh_interval: 1s, %s}]}\n", job, name, more)
	}
	path := harness.ConfigFile(t, "prometheus.yml", config)
	addr := harness.FreePorts(t, 1)[0]
	look := func() (map[string]int, error) { return prometheusTargets("http://" + addr) }
	harness.StartDaemon(t, func() error { _, err := look(); return err }, unshare, "-m", "sh", "-c",
		`mount --bind /etc "$0/real" && mount --bind "$0/etc" /etc && exec "$@"`, privateEtc(t, "nameserver "+server+"\n"),
		prometheus, "--config.file="+path, "--web.listen-address="+addr, "--storage.tsdb.path="+t.TempDir())
	steady(t, want, watched, look)
}

// prometheusTargets returns how many targets each job of a Prometheus has.
func prometheusTargets(url string) (map[string]int, error) {
	code, body := harness.Get(url + "/api/v1/targets?state=active")
	if code != http.StatusOK {
		return nil, fmt.Errorf("targets: %d %s", code, body)
	}
	var reply struct {
		Data struct {
			ActiveTargets []struct{ ScrapePool string }
		}
	}
	if err := json.Unmarshal([]byte(body), &reply); err != nil {
		return nil, err
	}
	targets := map[string]int{}
	for _, target := range reply.Data.ActiveTargets {
		targets[target.ScrapePool]++
	}
	return targets, nil
}
