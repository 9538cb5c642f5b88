package minilb

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	_ "github.com/coredns/coredns/plugin/ready"
)

// D70: /ready answers for each server block with plugin ready, in whatever order they are read, and for no other.
func TestReadyServerBlocks(t *testing.T) {
	captureLog(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	var corefile strings.Builder
	for _, zone := range []string{"first", "second", "other"} {
		fmt.Fprintf(&corefile, "%s:0 {\n minilb %s {\n kubeconfig %s\n startup_timeout 0s\n}\n started\n", zone, zone, testKubeconfig(t))
		if zone != "other" {
			corefile.WriteString(" ready " + addr + "\n")
		}
		corefile.WriteString("}\n")
	}
	defer startServer(t, corefile.String(), "ready", pluginName, "started")()
	for _, step := range []struct {
		read *Minilb
		want int
	}{{nil, http.StatusServiceUnavailable}, {started[1], http.StatusServiceUnavailable}, {started[0], http.StatusOK}} {
		if step.read != nil {
			step.read.index.Update(nil, nil, false)
		}
		response, err := http.Get("http://" + addr + "/ready")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != step.want {
			t.Errorf("once %v are read: got %d, want %d", synced(started), response.StatusCode, step.want)
		}
	}
}

// synced returns the zones of the handlers that have read their cluster.
func synced(handlers []*Minilb) (zones []string) {
	for _, m := range handlers {
		if m.index.Synced() {
			zones = append(zones, m.zones[0].zone)
		}
	}
	return zones
}
