package minilb

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/source"
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
	watcher, err := source.NewWatcher(&rest.Config{Host: "https://api.example"}, log) // of nothing, and so it knows all
	if err != nil {
		t.Fatal(err)
	}
	kept, path := &cluster{watcher: watcher}, filepath.Join(t.TempDir(), "snapshot")
	kept.watcher.Keep(path, kept.latest)
	kept.watcher.Touch()
	clusters.add(kept)
	defer clusters.remove(kept) // whatever fails below
	for range 3 {
		if err := kept.watcher.Flush(); err != nil {
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
		if err := kept.watcher.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the snapshot is not written again: %v", err)
		}
		kept.watcher.Touch()
	}
	clusters.remove(kept)
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
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "minilb.(*notifier).run(")
}
