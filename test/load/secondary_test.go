package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// secondaryLimit is how long after the API server's acknowledgement of a change of EndpointSlices
// secondaries may not have been told of it, and may answer what was before.
const secondaryLimit = 3 * time.Second

// secondary is somebody else's name server with a copy of the zones.
type secondary struct {
	name, addr string
}

// startSecondaries runs BIND, Knot DNS and NSD on these addresses, with what the documentation says
// and no more of their own than where they listen and write. The zones need not be there yet.
func startSecondaries(t *testing.T, primary string, addrs []string) []secondary {
	t.Helper()
	port := harness.PortOf(primary)
	daemons := []struct {
		name    string
		path    string
		flags   []string
		own     string
		primary *strings.Replacer
	}{
		{
			"named.conf", harness.Program(t, "named", "bind9"), []string{"-f", "-g", "-n", "1", "-c"},
			`options {
				directory "DIR"; pid-file none; session-keyfile "DIR/session.key";
				listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; };
				recursion no; dnssec-validation no;
			};
			controls {};
			`,
			strings.NewReplacer("192.168.1.53", "127.0.0.1 port "+port),
		}, {
			"knot.conf", harness.Program(t, "knotd", "knot"), []string{"-c"},
			"server:\n    rundir: DIR\n    listen: 127.0.0.1@PORT\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n" +
				"database:\n    storage: DIR\n    journal-db-max-size: 16M\ntemplate:\n  - id: default\n    storage: DIR\nlog:\n  - target: stderr\n    any: info\n",
			strings.NewReplacer("id: minilb\n    address: 192.168.1.53\nacl", "id: minilb\n    address: 127.0.0.1@"+port+"\nacl", "192.168.1.53", "127.0.0.1"),
		}, {
			"nsd.conf", harness.Program(t, "nsd", "nsd"), []string{"-d", "-c"},
			"server:\n ip-address: 127.0.0.1@PORT\n zonesdir: DIR\n database: \"\"\n username: \"\"\n pidfile: DIR/nsd.pid\n xfrdfile: DIR/xfrd.state\n" +
				" zonelistfile: DIR/zone.list\n xfrdir: DIR\n verbosity: 1\nremote-control:\n control-enable: no\n",
			strings.NewReplacer("request-xfr: 192.168.1.53", "request-xfr: 127.0.0.1@"+port, "192.168.1.53", "127.0.0.1"),
		},
	}
	var all []secondary
	for i, d := range daemons {
		dir, err := os.MkdirTemp("", "minilb-secondary-") // a path that is short enough for a socket
		harness.Must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		path := filepath.Join(dir, d.name)
		own := strings.NewReplacer("DIR", dir, "PORT", harness.PortOf(addrs[i])).Replace(d.own)
		harness.Must(t, os.WriteFile(path, []byte(own+d.primary.Replace(documented(t, d.name))), 0o600))
		harness.StartDaemon(t, func() error {
			_, err := harness.Ask(addrs[i], "udp", "minilb", dns.TypeSOA)
			return err
		}, d.path, append(d.flags, path)...)
		all = append(all, secondary{d.name, addrs[i]})
	}
	return all
}

// documented returns the block of README.md that begins with the name of the file it is for.
func documented(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	harness.Must(t, err)
	_, block, found := strings.Cut(string(text), "```\n# "+file+"\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatalf("README.md has no block for %s", file)
	}
	return block
}

// secondariesCorefile is the one that is documented for secondaries, for one namespace. The
// primary's port must be known to those, also when it starts anew.
func secondariesCorefile(t *testing.T, c *cluster.Cluster, ns, primary, to string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	harness.Must(t, err)
	for _, block := range harness.CorefileBlock.FindAllStringSubmatch(string(text), -1) {
		if corefile := block[1]; strings.Contains(corefile, "transfer {") {
			corefile = strings.Replace(corefile, "minilb 10.244.0.0/16 {", fmt.Sprintf("minilb:%[1]s 10.244.0.0/16:%[1]s {\n READY\n bind 127.0.0.1", harness.PortOf(primary)), 1)
			corefile = strings.Replace(corefile, "/etc/minilb/kubeconfig", c.Kubeconfig+"\n namespaces "+ns, 1)
			corefile = harness.SecondaryLine.ReplaceAllString(corefile, "${1}"+to)
			return corefile + "listens:PORT {\n bind 127.0.0.1\n}\n"
		}
	}
	t.Fatal("README.md has no Corefile with transfer")
	return ""
}

// expect returns an error unless the secondary answers with exactly these data, or with NXDOMAIN
// if there are none.
func (s secondary) expect(name string, qtype uint16, want ...string) error {
	reply, err := harness.Ask(s.addr, "udp", name, qtype)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	var got []string
	for _, rr := range reply.Answer {
		got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(got)
	slices.Sort(want)
	rcode := dns.RcodeSuccess
	if len(want) == 0 {
		rcode = dns.RcodeNameError
	}
	if reply.Rcode != rcode || !reply.Authoritative || !slices.Equal(got, want) {
		return fmt.Errorf("%s: %s %s: got %s %v, want %s %v", s.name, name, dns.TypeToString[qtype], dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[rcode], want)
	}
	return nil
}

// expectAll waits until our own secondary has been told, which must be in time after what was done,
// and all the others answer so, and tells how long each took. There is none of our own where the
// primary answers otherwise, with fewer addresses than there are.
func expectAll(t *testing.T, own *notified, all []secondary, done time.Time, what, name string, qtype uint16, want ...string) {
	t.Helper()
	if own != nil {
		var told time.Time
		cluster.Eventually(t, 10*time.Second, func() (err error) {
			told, err = own.expect(name, qtype, slices.Clone(want)...)
			return err
		})
		after := told.Sub(done)
		t.Logf("%s: told after %d ms", what, after.Milliseconds())
		if after > secondaryLimit {
			t.Errorf("%s: secondaries are told after %v, want within %v", what, after, secondaryLimit)
		}
	}
	took := make([]string, len(all))
	var wg sync.WaitGroup
	for i, s := range all {
		wg.Go(func() {
			if err := cluster.Wait(t.Context(), 10*time.Second, func() error { return s.expect(name, qtype, slices.Clone(want)...) }); err != nil {
				t.Errorf("%s: %v", what, err)
			} else if after := time.Since(done); after > secondaryLimit {
				t.Errorf("%s: %s answers so after %v, want within %v", what, s.name, after, secondaryLimit)
			}
			took[i] = fmt.Sprintf("%s %d ms", s.name, time.Since(done).Milliseconds())
		})
	}
	wg.Wait()
	t.Logf("%s: %s", what, strings.Join(took, ", "))
}

const secondariesState = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: many, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ports: [{port: 80}]
`

// blames reports whether a line is about one of the secondaries.
func blames(line string, addrs ...string) bool {
	return slices.ContainsFunc(addrs, func(addr string) bool { return strings.Contains(line, strconv.Quote(addr)) })
}

var transferLine = regexp.MustCompile(`Outgoing transfer of \d+ records`)

// inSlices returns when the API server has EndpointSlices of Service web in which exactly these
// addresses are ready: what Kubernetes' own controller takes for that is not ours.
func inSlices(t *testing.T, c *cluster.Cluster, ns string, want ...string) (since time.Time) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		since = time.Now()
		list, err := c.Client.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return err
		}
		var got []string
		for _, slice := range list.Items {
			for _, endpoint := range slice.Endpoints {
				if *endpoint.Conditions.Ready {
					got = append(got, endpoint.Addresses...)
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the EndpointSlices of web have %q, want %q", got, want)
		}
		return nil
	})
	return since
}

// TestSecondaries changes pods and looks at what BIND, Knot DNS and NSD answer, while the last of
// the secondaries is dead. Every change has secondaryLimit to get there.
func TestSecondaries(t *testing.T) {
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	quiet := harness.NewNamespace(t, c)
	harness.Must(t, c.Node(ctx, "secondaries", "192.168.1.78"))
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(secondariesState, "NS", ns)))
	pod := func(i int) cluster.PodSpec {
		return cluster.PodSpec{Namespace: ns, Name: fmt.Sprintf("web-%d", i), Labels: map[string]string{"app": "web"}, Node: "secondaries", IPs: []string{fmt.Sprintf("10.244.3.%d", i)}}
	}
	many := harness.LoadSlice("many", 1) // more than BIND takes by default
	for i := 2; i <= 150; i++ {
		many.Endpoints = append(many.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.0.%d", i)}})
	}
	_, err := c.Client.DiscoveryV1().EndpointSlices(ns).Create(ctx, many, metav1.CreateOptions{})
	harness.Must(t, err)
	ready := []string{"10.244.3.1", "10.244.3.4", "10.244.3.5"} // of web
	for _, i := range []int{1, 4, 5} {
		harness.Must(t, c.Pod(ctx, pod(i)))
	}
	inSlices(t, c, ns, ready...) // or it would be a change after the start
	web, reverse := "web."+ns+".minilb", func(i int) string { return fmt.Sprintf("%d.3.244.10.in-addr.arpa", i) }
	endpoint := func(i int) string { return fmt.Sprintf("10-244-3-%d.%s.", i, web) }

	ports := harness.FreePorts(t, 6)
	primary, addrs, own := ports[0], ports[1:4], startNotified(t, ports[4])
	own.follow(primary)
	listenDead(t, ports[5])
	corefile := secondariesCorefile(t, c, ns, primary, strings.Join(slices.Concat([]string{own.addr}, addrs, ports[5:]), " ")) +
		fmt.Sprintf("quiet:%s {\n bind 127.0.0.1\n minilb {\n kubeconfig %s\n namespaces %s\n }\n transfer {\n to %s\n }\n}\n", harness.PortOf(primary), c.Kubeconfig, quiet, own.addr)
	s := harness.StartCoreDNS(t, corefile)
	s.WaitReady(t)
	began := time.Now()
	all := startSecondaries(t, primary, addrs)
	expectAll(t, own, all, time.Now(), "a start", web, dns.TypeA, ready...)
	cluster.Eventually(t, 5*time.Second, func() error {
		for _, zone := range []string{"minilb.", "244.10.in-addr.arpa.", "quiet."} {
			if n := own.since(zone, time.Time{}); n != 1 {
				return fmt.Errorf("after the start there were %d NOTIFYs of %s, want one", n, zone)
			}
		}
		return nil
	})
	t.Logf("the secondaries were there after %v", time.Since(began))
	quietSerial := harness.Serials(t, &harness.CoreDNS{Addr: primary}, "quiet")

	zones := []string{"minilb", "244.10.in-addr.arpa"}
	for i := 2; i < 4; i++ {
		before := harness.Serials(t, &harness.CoreDNS{Addr: primary}, zones...)
		harness.Must(t, c.Pod(ctx, pod(i)))
		ready = append(ready, fmt.Sprintf("10.244.3.%d", i))
		done := inSlices(t, c, ns, ready...)
		expectAll(t, own, all, done, "a new pod", endpoint(i), dns.TypeA, fmt.Sprintf("10.244.3.%d", i))
		expectAll(t, own, all, done, "its reverse name", reverse(i), dns.TypePTR, endpoint(i))
		for z, after := range harness.Serials(t, &harness.CoreDNS{Addr: primary}, zones...) {
			if after <= before[z] {
				t.Errorf("D24: a new pod left the serial of %s at %d, it was %d", zones[z], after, before[z])
			}
		}
	}
	harness.Must(t, c.SetReady(ctx, ns, "web-2", false))
	done := inSlices(t, c, ns, "10.244.3.1", "10.244.3.3", "10.244.3.4", "10.244.3.5")
	expectAll(t, own, all, done, "an unready pod", web, dns.TypeA, "10.244.3.1", "10.244.3.3", "10.244.3.4", "10.244.3.5")
	harness.Must(t, c.RemovePod(ctx, ns, "web-3"))
	gone := inSlices(t, c, ns, "10.244.3.1", "10.244.3.4", "10.244.3.5")
	expectAll(t, own, all, gone, "a removed pod", endpoint(3), dns.TypeA)
	expectAll(t, own, all, gone, "its reverse name", reverse(3), dns.TypePTR)

	t.Run("burst", func(t *testing.T) {
		began := time.Now()
		want := []string{"10.244.3.1", "10.244.3.4", "10.244.3.5"}
		for i := range 10 {
			harness.Must(t, c.Pod(ctx, pod(100+i)))
			want = append(want, fmt.Sprintf("10.244.3.%d", 100+i))
			time.Sleep(time.Until(began.Add(time.Duration(i) * 150 * time.Millisecond)))
		}
		done := inSlices(t, c, ns, want...)
		expectAll(t, own, all, done, "the last of 10 new pods", endpoint(109), dns.TypeA, "10.244.3.109")
		expectAll(t, own, all, done, "its reverse name", reverse(109), dns.TypePTR, endpoint(109))
		expectAll(t, nil, all, done, "all of them", web, dns.TypeA, want...)
		most := int(time.Since(began)/time.Second) + 1
		for _, zone := range []string{"minilb.", "244.10.in-addr.arpa."} {
			if n := own.since(zone, began); n > most || n < 2 {
				t.Errorf("%d NOTIFYs of %s in %v, want 2 to %d", n, zone, time.Since(began), most)
			}
		}
	})

	t.Run("rest", func(t *testing.T) {
		began, before := time.Now(), harness.Serials(t, &harness.CoreDNS{Addr: primary}, zones...)
		transfers := len(transferLine.FindAllString(s.Log.String(), -1))
		// What nobody is answered with is no change.
		harness.Must(t, harness.Apply(c, strings.NewReplacer("name: web, namespace: NS", "name: web, namespace: "+ns+", annotations: {example.org/note: new}", "NS", ns).Replace(secondariesState)))
		harness.Must(t, harness.Apply(c, strings.ReplaceAll("{apiVersion: v1, kind: Service, metadata: {name: inner, namespace: NS}, spec: {selector: {app: web}, ports: [{port: 80}]}}", "NS", ns)))
		harness.Must(t, c.SetReady(ctx, ns, "web-1", true))
		time.Sleep(5 * time.Second)
		if after := harness.Serials(t, &harness.CoreDNS{Addr: primary}, zones...); !slices.Equal(after, before) {
			t.Errorf("D24: at rest the serials went from %v to %v", before, after)
		}
		for zone := range own.at {
			if n := own.since(zone, began); n > 0 {
				t.Errorf("at rest there were %d NOTIFYs of %s", n, zone)
			}
		}
		if n := len(transferLine.FindAllString(s.Log.String(), -1)) - transfers; n > 0 {
			t.Errorf("at rest there were %d transfers", n)
		}
		for _, sec := range all {
			if got := harness.Serials(t, &harness.CoreDNS{Addr: sec.addr}, zones...); !slices.Equal(got, before) {
				t.Errorf("%s has serials %v, the primary %v", sec.name, got, before)
			}
		}
		if after := harness.Serials(t, &harness.CoreDNS{Addr: primary}, "quiet"); after[0] != quietSerial[0] || own.since("quiet.", time.Time{}) != 1 {
			t.Errorf("D24: the zone in which nothing changed went from %v to %v, with %d NOTIFYs", quietSerial, after, own.since("quiet.", time.Time{}))
		}
	})

	for _, zone := range []string{"minilb.", "244.10.in-addr.arpa."} {
		lines := s.Log.Lines("Cannot notify all secondaries of zone " + zone)
		// The first NOTIFY may have been sent before all the others listened.
		if len(lines) > 1 && blames(lines[0], addrs...) {
			lines = lines[1:]
		}
		if len(lines) != 1 || !blames(lines[0], ports[5]) || blames(lines[0], ports[:5]...) {
			t.Errorf("a secondary is dead all the time, of which there are %d lines, want one of that alone: %q", len(lines), lines)
		}
	}

	harness.Must(t, c.RemovePod(ctx, ns, "web-4"))
	ready = []string{"10.244.3.1", "10.244.3.5"}
	for i := range 10 {
		ready = append(ready, fmt.Sprintf("10.244.3.%d", 100+i))
	}
	expectAll(t, own, all, inSlices(t, c, ns, ready...), "a removed pod", endpoint(4), dns.TypeA)
	stopping := time.Now()
	s.Stop(t) // while it tells the dead one
	if took := time.Since(stopping); took > 3*time.Second {
		t.Errorf("it took %v to end", took)
	}
	harness.Must(t, c.RemovePod(ctx, ns, "web-5"))
	for _, sec := range all { // they do without us
		if err := sec.expect(endpoint(5), dns.TypeA, "10.244.3.5"); err != nil {
			t.Error(err)
		}
	}
	s = harness.StartCoreDNS(t, corefile)
	s.WaitReady(t)
	expectAll(t, own, all, time.Now(), "what changed before a start", endpoint(5), dns.TypeA)

	harness.Must(t, c.Client.CoreV1().Services(ns).Delete(ctx, "web", metav1.DeleteOptions{}))
	expectAll(t, own, all, time.Now(), "a deleted Service", web, dns.TypeA)
}
