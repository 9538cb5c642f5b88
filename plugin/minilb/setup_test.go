package minilb

import (
	"bytes"
	"context"
	stdlog "log"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// testKubeconfig names an API server that nobody is, by two contexts.
func testKubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	const content = `{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: c}}, {name: d, context: {cluster: c}}], current-context: c}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// captureLog returns what is logged from now on.
func captureLog(t *testing.T) *bytes.Buffer {
	before, out := stdlog.Writer(), new(bytes.Buffer)
	stdlog.SetOutput(out)
	t.Cleanup(func() { stdlog.SetOutput(before) })
	return out
}

// setup puts the plugin in front of the next one, and client-go's log into CoreDNS's form.
func TestSetup(t *testing.T) {
	out := captureLog(t)
	c := controller("minilb minilb lan {\n kubeconfig " + testKubeconfig(t) + "\n}")
	if err := setup(c); err != nil {
		t.Fatal(err)
	}
	if klog.InfoS("news", "n", 1); !strings.HasSuffix(out.String(), "plugin/minilb: news n=\"1\"\n") {
		t.Errorf("client-go logs %q", out)
	}
	plugins := dnsserver.GetConfig(c).Plugin
	m, ok := plugins[len(plugins)-1](passedOn).(*Minilb)
	if !ok || m.Next == nil {
		t.Fatalf("got %v before the next plugin", m)
	}
	if len(m.zones) != 2 || m.zones[0].zone != "minilb." || m.zones[1].zone != "lan." {
		t.Errorf("got zones %v", m.zones)
	}
}

// The translator of an instance observes the programming latency, and knows which hosts the server covers.
func TestHooks(t *testing.T) {
	c := controller("minilb minilb {\n kubeconfig " + testKubeconfig(t) + "\n}")
	c.ServerBlockKeys = []string{"dns://minilb.:53"}
	conf, err := parse(c)
	if err != nil {
		t.Fatal(err)
	}
	i, err := newInstance(c, conf)
	if err != nil {
		t.Fatal(err)
	}
	hooks := i.hooks()
	if hooks.ObserveLatency == nil || !hooks.Covered("web.minilb.") || hooks.Covered("example.org.") {
		t.Errorf("got %+v", hooks)
	}
}

// An error of setup names the plugin, once.
func TestSetupErrors(t *testing.T) {
	path := testKubeconfig(t)
	for block, want := range map[string]string{
		"minilb .": "plugin/minilb: Testfile:1 - Error during parsing: the root zone cannot be served",
		"minilb minilb {\n kubeconfig " + path + ".none\n}": "plugin/minilb: ",
		"minilb minilb {\n kubeconfig " + path + " none\n}": "plugin/minilb: ",
	} {
		if err := setup(controller(block)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "plugin/minilb") != 1 {
			t.Errorf("%q: got %v, want %s", block, err, want)
		}
	}
}

// named passes all on, under the name of another plugin.
type named struct {
	plugin.Handler
	name string
}

func (n named) Name() string { return n.name }

// started has the handlers of the server blocks with the directive "started", which may name the plugin that it stands for.
var started []*Minilb

func init() {
	plugin.Register("started", func(c *caddy.Controller) error {
		if c.Next(); c.NextArg() {
			name := c.Val()
			dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return named{next, name} })
		}
		c.OnStartup(func() error {
			started = append(started, dnsserver.GetConfig(c).Handler(pluginName).(*Minilb))
			return nil
		})
		return nil
	})
}

// startServer starts CoreDNS with these directives, and returns what stops it.
func startServer(t *testing.T, corefile string, directives ...string) (stop func()) {
	t.Helper()
	caddy.Quiet, dnsserver.Quiet, started = true, true, nil
	before := dnsserver.Directives
	t.Cleanup(func() { dnsserver.Directives = before })
	if err := dnsserver.SetDirectives(directives); err != nil {
		t.Fatal(err)
	}
	instance, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		instance.ShutdownCallbacks()
		if err := instance.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// At its start the plugin takes the addresses of ns1, the place of transfer and dnssec, and warns of zones
// that nobody can ask for.
func TestStartup(t *testing.T) {
	var own []string
	for _, addr := range boundAddrs(nil) {
		if addr.Is4() {
			own = append(own, addr.String())
		}
	}
	const transfer = "\n transfer {\n to 127.0.0.1:9\n}"
	for name, tc := range map[string]struct {
		directives []string
		ns, beside string
		behind     bool
		glue       []string
	}{
		"alone":              {[]string{pluginName, "transfer", "started"}, "", "", false, own},
		"with addresses":     {[]string{pluginName, "transfer", "started"}, "\n ns 192.0.2.53", "", false, []string{"192.0.2.53"}}, // D26
		"transfer in front":  {[]string{"transfer", pluginName, "started"}, "", transfer, false, own},
		"transfer behind it": {[]string{pluginName, "transfer", "started"}, "", transfer, true, own}, // D29
		"with dnssec":        {[]string{"started", pluginName, "transfer"}, "", " dnssec", false, own},
	} {
		out := captureLog(t)
		corefile := "minilb:0 {\n minilb minilb lan 10.0.0.0/8 {\n kubeconfig " + testKubeconfig(t) + "\n startup_timeout 0s\n max_answers 0" + tc.ns + "\n}\n started" + tc.beside + "\n}\n"
		stop := startServer(t, corefile, tc.directives...)
		m := started[0]
		if m.transferBehind != tc.behind || m.signed != (tc.beside == " dnssec") {
			t.Errorf("%s: transfer is behind it: %v, dnssec is there: %v", name, m.transferBehind, m.signed)
		}
		if running, want := clusters.all(), []string{"minilb.", "lan.", "10.in-addr.arpa."}; len(running) != 1 || !slices.Equal(running[0].zones, want) { // D78
			t.Errorf("%s: %d clusters run, want one with the zones %q", name, len(running), want)
		}
		stop()
		m.index.Update(nil, nil, false)
		got := answer(m, "ns1.minilb.", dns.TypeA)
		slices.Sort(got)
		slices.Sort(tc.glue)
		if !slices.Equal(got, tc.glue) {
			t.Errorf("%s: ns1 has the addresses %q, want %q", name, got, tc.glue)
		}
		for zone, want := range map[string]bool{"minilb.": false, "lan.": true, "10.in-addr.arpa.": true} { // D8
			if got := strings.Contains(out.String(), "Zone "+zone+" is outside all server blocks with minilb"); got != want {
				t.Errorf("%s: warned of zone %s: %v, want %v, in\n%s", name, zone, got, want, out)
			}
		}
		if want := "not read within startup_timeout 0s. Names in minilb. lan. get SERVFAIL"; !strings.Contains(out.String(), want) { // D70
			t.Errorf("%s: want %q in\n%s", name, want, out)
		}
	}
}

// D8: what can be asked for is what the keys of all server blocks with the plugin cover.
func TestReachable(t *testing.T) {
	c := caddy.NewTestController("dns", "")
	for _, keys := range [][]string{{"dns://minilb.:53"}, {"dns://lan.:53", "dns://sub.example.org.:53"}} {
		block := controller("minilb minilb {\n kubeconfig " + testKubeconfig(t) + "\n}")
		block.ServerBlockKeys = keys
		conf, err := parse(block)
		if err != nil {
			t.Fatal(err)
		}
		shared := loadOf(c)
		shared.covered = append(shared.covered, conf.ServerZones...)
	}
	for name, want := range map[string]bool{"minilb.": true, "web.shop.minilb.": true, "x.lan.": true, "a.sub.example.org.": true, "example.org.": false, "xlan.": false} {
		if got := loadOf(c).covers(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// D70: who starts without the cluster's state waits for it, but not for ever.
func TestWaitForSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinilb(testConfig(), &records.AddressSet{})
		began := time.Now()
		if waitForSync(m, began.Add(250*time.Millisecond)) {
			t.Error("synced without anything")
		}
		if took := time.Since(began); took != 260*time.Millisecond { // it looks every 20 ms
			t.Errorf("waited for %v, want 260ms", took)
		}
		began = time.Now()
		time.AfterFunc(50*time.Millisecond, func() { m.index.Update(nil, nil, false) })
		if !waitForSync(m, began.Add(time.Minute)) || time.Since(began) != 60*time.Millisecond {
			t.Errorf("not synced after %v, want 60ms", time.Since(began))
		}
	})
}

// Server blocks with one kubeconfig and context share a cluster, which one of them starts and
// one of them stops.
func TestCluster(t *testing.T) {
	c := controller("minilb minilb")
	path := testKubeconfig(t)
	get := func(context string) *cluster {
		cl, err := loadOf(c).clusterFor(path, context)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	first := get("")
	if get("") != first {
		t.Error("the same kubeconfig makes another cluster")
	}
	if get("d") == first {
		t.Error("another context makes the same cluster")
	}
	first.stop() // never started
	first.start()
	ctx := first.ctx
	first.start()
	if first.ctx != ctx || !slices.Contains(clusters.all(), first) {
		t.Error("a cluster is started twice, or does not count as running")
	}
	ended := false
	first.run(func(ctx context.Context) {
		<-ctx.Done()
		time.Sleep(10 * time.Millisecond)
		ended = true
	})
	first.stop()
	if !ended {
		t.Error("something of a stopped cluster is left")
	}
	if slices.Contains(clusters.all(), first) {
		t.Error("a stopped cluster counts as running")
	}
}

// D78: a load takes the place of one that serves the same cluster, and of no other with other zones.
func TestClusterSucceeds(t *testing.T) {
	path := testKubeconfig(t)
	load := func(context string, blocks int) *cluster {
		cl, err := loadOf(controller("minilb minilb")).clusterFor(path, context)
		if err != nil {
			t.Fatal(err)
		}
		for range blocks { // one is never synced
			cl.blocks = append(cl.blocks, translator.NewTranslator(cl.translators, config.Options{}, records.NewIndex(nil), translator.Hooks{}))
		}
		return cl
	}
	serving, unsynced, other := load("", 0), load("d", 1), load("", 0)
	other.kubeconfig = "elsewhere"
	for _, cl := range []*cluster{serving, unsynced, other} {
		clusters.Store(cl, true)
		defer clusters.Delete(cl)
	}
	for cl, want := range map[*cluster]bool{load("", 1): true, load("d", 1): false, serving: false} {
		if got := cl.replaces(); got != want {
			t.Errorf("%v: got %v, want %v", cl.clusterKey, got, want)
		}
	}
}

// D78: so does one that has zones of a cluster that the load does not name any longer.
func TestClusterReplaces(t *testing.T) {
	path := testKubeconfig(t)
	for name, tc := range map[string]struct {
		before, after []string // zones
		unsynced      bool     // the one before
		beside        bool     // the load names both
		want          bool
	}{
		"in its place":        {before: []string{"minilb."}, after: []string{"minilb."}, want: true},
		"with one of its":     {before: []string{"minilb.", "lan."}, after: []string{"ex.org.", "lan."}, want: true},
		"with other zones":    {before: []string{"minilb."}, after: []string{"lan."}},
		"that knew nothing":   {before: []string{"minilb."}, after: []string{"minilb."}, unsynced: true},
		"beside it":           {before: []string{"minilb."}, after: []string{"lan."}, beside: true},
		"beside it, with its": {before: []string{"minilb."}, after: []string{"minilb."}, beside: true},
		"that had no zones":   {after: []string{"minilb."}},
	} {
		named := func(shared *load, context string, unsynced bool, zones []string) *cluster {
			cl, err := shared.clusterFor(path, context)
			if err != nil {
				t.Fatal(err)
			}
			cl.zones = zones
			if unsynced {
				cl.blocks = append(cl.blocks, translator.NewTranslator(cl.translators, config.Options{}, records.NewIndex(nil), translator.Hooks{}))
			}
			return cl
		}
		before := named(loadOf(controller("minilb minilb")), "c", tc.unsynced, tc.before)
		shared := loadOf(controller("minilb minilb"))
		if tc.beside {
			named(shared, "c", true, tc.before)
		}
		after := named(shared, "d", true, tc.after)
		clusters.Store(before, true)
		if got := after.replaces(); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
		clusters.Delete(before)
	}
}

// D26: the name server's addresses are those the server is bound to, or the machine's that
// others can reach.
func TestBoundAddrs(t *testing.T) {
	want := []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::53")}
	if got := boundAddrs([]string{"192.0.2.53", "127.0.0.1", "2001:db8::53", "eth0"}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := boundAddrs([]string{"0.0.0.0", "192.0.2.53", "::"}); !slices.Equal(got, want[:1]) {
		t.Errorf("got %v, want %v", got, want[:1])
	}
	var machine []netip.Addr
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip := a.(*net.IPNet).IP; !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			addr, _ := netip.AddrFromSlice(ip)
			machine = append(machine, addr.Unmap())
		}
	}
	for _, hosts := range [][]string{nil, {""}, {"0.0.0.0"}, {"::"}} {
		if got := boundAddrs(hosts); !slices.Equal(got, machine) {
			t.Errorf("bound to %q: got %v, want the machine's %v", hosts, got, machine)
		}
	}
}
