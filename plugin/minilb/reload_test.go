package minilb

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/probe"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// A load that fails, as another server block cannot listen, leaves nothing behind.
func TestFailedReload(t *testing.T) {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := dnsserver.SetDirectives([]string{"transfer", pluginName}); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	block := func(zone string, port int) string {
		return fmt.Sprintf("%s:%d {\n minilb %s {\n kubeconfig %s\n startup_timeout 0s\n}\n transfer {\n to 127.0.0.1:9\n}\n}\n", zone, port, zone, testKubeconfig(t))
	}
	input := func(corefile string) caddy.Input {
		return caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"}
	}
	good := block("minilb", 0)
	instance, err := caddy.Start(input(good))
	if err != nil {
		t.Fatal(err)
	}
	// One whose file a load that fails may have written: it is to write it again.
	translators, err := translator.New(&rest.Config{Host: "https://api.example"}, log) // of nothing, and so it knows all
	if err != nil {
		t.Fatal(err)
	}
	kept, path := &cluster{translators: translators}, filepath.Join(t.TempDir(), "snapshot")
	kept.translators.KeepIn(path, kept.latest)
	kept.translators.Snapshot.MarkDirty()
	clusters.Store(kept, true)
	defer clusters.Delete(kept) // whatever fails below
	for range 3 {
		if _, err := kept.translators.Snapshot.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := instance.Restart(input(good + block("other", busy.Addr().(*net.TCPAddr).Port))); err == nil {
			t.Fatal("a port that is taken does not matter")
		}
		got := notifiers()
		for end := time.Now().Add(5 * time.Second); got == 0 && time.Now().Before(end); got = notifiers() { // its goroutine may be about to begin
			time.Sleep(10 * time.Millisecond)
		}
		if got != 1 {
			t.Errorf("%d notifiers run, want 1", got)
		}
		if _, err := kept.translators.Snapshot.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the snapshot is not written again: %v", err)
		}
		kept.translators.Snapshot.MarkDirty()
	}
	clusters.Delete(kept)
	instance.ShutdownCallbacks()
	if err := instance.Stop(); err != nil {
		t.Error(err)
	}
	if got := notifiers(); got != 0 || len(clusters.all()) != 0 {
		t.Errorf("%d notifiers and %d clusters are left", got, len(clusters.all()))
	}
}

// notifiers returns how many run.
func notifiers() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "notify.(*Notifier).Run(")
}

// What probes have found out is handed to the load that takes the place of another, of the same cluster
// alone: that which waits a minute between its own probes could not know it yet.
func TestProbesHandedOn(t *testing.T) {
	captureLog(t)
	addrs := interfaceAddrs()
	if len(addrs) == 0 {
		t.Skip("this machine has no address that an endpoint could have")
	}
	held, err := net.Listen("tcp", "127.0.0.1:0") // on the port of another address, where connections are refused
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	port := int32(held.Addr().(*net.TCPAddr).Port)
	api := fakeAPIHandler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis/discovery.k8s.io/v1/endpointslices" || r.URL.Query().Has("watch") {
			api(w, r)
			return
		}
		slice := discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv6,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{addrs[0].String()}}},
			Ports:       []discoveryv1.EndpointPort{{Port: &port}},
		}
		if addrs[0].Is4() {
			slice.AddressType = discoveryv1.AddressTypeIPv4
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(&discoveryv1.EndpointSliceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []discoveryv1.EndpointSlice{slice}})
	}))
	t.Cleanup(server.Close)
	// started returns a cluster that knows its endpoint, and tells how many are suspect.
	started := func(kubeconfig string, interval time.Duration) (suspect func() int) {
		translators, err := translator.New(&rest.Config{Host: server.URL}, log)
		if err != nil {
			t.Fatal(err)
		}
		cl := &cluster{clusterKey: clusterKey{kubeconfig: kubeconfig}, translators: translators, load: &load{}}
		options := config.Options{Zones: []string{"minilb."}, Class: lb.DefaultClass, Services: true, Probe: interval}
		block := translator.NewTranslator(translators, options, records.NewIndex(options.Zones), translator.Hooks{})
		cl.blocks = []*translator.Translator{block}
		t.Cleanup(cl.stop)
		cl.start()
		for end := time.Now().Add(10 * time.Second); !cl.synced(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it knows nothing")
			}
		}
		return func() int { return block.Stats().Endpoints["suspect"] }
	}
	before := started("c", probe.MinInterval)
	for end := time.Now().Add(10 * time.Second); before() != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("an endpoint that refuses connections is not suspect")
		}
	}
	for kubeconfig, want := range map[string]int{"c": 1, "other": 0} {
		if got := started(kubeconfig, probe.MaxInterval)(); got != want {
			t.Errorf("by kubeconfig %q, %d endpoints are suspect, want %d", kubeconfig, got, want)
		}
	}
}
