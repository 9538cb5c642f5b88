//go:build linux

package realcluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

// skewVariable of the environment is how far a program's clock is off that was built with skewedImages.
const skewVariable = "MINILB_TEST_SKEW"

// skewSource is a file of Go's package time.
const skewSource = `package time

import "syscall"

var skew = func() int64 {
	text, _ := syscall.Getenv("` + skewVariable + `")
	off, _ := ParseDuration(text)
	return int64(off / Second)
}()
`

// skewedImages gives the nodes images whose programs read a clock that is off, as containers have the kernel's: Go's own
// package time is compiled with an offset.
func skewedImages(t *testing.T, l *realcluster.Lab) {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	harness.Must(t, err)
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/time")
	source, err := os.ReadFile(filepath.Join(dir, "time.go"))
	harness.Must(t, err)
	const read = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), read) != 1 {
		t.Fatalf("%s/time.go does not have once %q", dir, read)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(dir, "time.go"): harness.ConfigFile(t, "time.go", strings.Replace(string(source), read, read+"\tsec += skew\n", 1)),
		filepath.Join(dir, "skew.go"): harness.ConfigFile(t, "skew.go", skewSource),
	}})
	harness.Must(t, err)
	for _, program := range []string{"coredns", "minilb"} {
		archive, err := realcluster.BuildImage(t.Context(), t.TempDir(), "test.local/"+program+":skewed", "./cmd/"+program,
			"-tags=netgo,osusergo", "-ldflags=-s -w", "-overlay="+harness.ConfigFile(t, "overlay.json", string(overlay)))
		harness.Must(t, err)
		for _, node := range l.Nodes {
			harness.Must(t, node.Import(t.Context(), archive))
		}
	}
}

// skewed returns the base with the clocks of servers and controller off.
func skewed(t *testing.T, off time.Duration) string {
	t.Helper()
	kustomization := base + "images:\n"
	for _, program := range []string{"coredns", "minilb"} {
		kustomization += fmt.Sprintf("- {name: ghcr.io/minilb/%s, newName: test.local/%[1]s, newTag: skewed}\n", program)
	}
	kustomization += "patches:\n"
	for _, kind := range []string{"DaemonSet", "Deployment"} {
		kustomization += fmt.Sprintf("- target: {kind: %s}\n  patch: |\n    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: %s, value: %s}}\n", kind, skewVariable, off)
	}
	manifest, err := shipped.Overlay(kustomization, nil)
	harness.Must(t, err)
	return manifest
}

// Clocks of nodes that are off an hour, either way, cost nothing: all goes on by the API server's order of things. One
// that is before the API server's certificate costs the new server, which says so, and the old ones go on.
func TestClock(t *testing.T) {
	inFull(t)
	l := theLab(t)
	skewedImages(t, l)
	web(t, l)
	install(t, l, skewed(t, time.Hour))
	for _, off := range []time.Duration{time.Hour, -time.Hour} { // certificates are from an hour before the start
		t.Run(off.String(), func(t *testing.T) { testClockOff(t, l, off) })
	}
	t.Run("before the certificate", func(t *testing.T) {
		asking(t, l, func() {
			harness.Must(t, l.Cluster.Apply(t.Context(), skewed(t, -3*time.Hour)))
			for _, what := range []string{"not yet valid: current time", "correct the clock"} {
				cluster.Eventually(t, readyTimeout, func() error { return says(t, l, what) })
				cluster.Eventually(t, readyTimeout, func() error { return controllerSays(t, l, what) })
			}
			answersWith(t, l, 3)
			harness.Must(t, l.Cluster.Apply(t.Context(), skewed(t, -time.Hour)))
			awaitReady(t, l, shipped.Namespace)
		})
	})
}

func testClockOff(t *testing.T, l *realcluster.Lab, off time.Duration) {
	began := time.Now()
	harness.Must(t, l.Cluster.Apply(t.Context(), skewed(t, off)))
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	for _, node := range l.Nodes {
		serial, err := serialAt(l, node)
		harness.Must(t, err)
		if at := time.Unix(int64(serial), 0).Add(-off); at.Before(began.Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
			t.Fatalf("%s has the serial %d, so that its clock is not off %v", node.Name, serial, off)
		}
	}
	do(t, l, "kubectl scale deployment web --replicas 2")
	answersWith(t, l, 2)
	do(t, l, "kubectl scale deployment web --replicas 3")
	answersWith(t, l, 3)
	with(t, l, strings.Replace(exposedService("late"), "{app: late}", "{app: web}", 1))
	harness.ExpectStatus(t, l.Cluster, "default", "late", "late.default.minilb")
	// An Event has the time of who writes it, and the API server keeps it for an hour by its own. That of web is there already.
	cluster.Eventually(t, readyTimeout, func() error {
		events, err := l.Cluster.Client.EventsV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if at := event.EventTime.Add(-off); event.Regarding.Name == "late" && event.Reason == "NoDrainTime" && at.After(began) && at.Before(time.Now()) {
				return nil
			}
		}
		return errors.New("no Event says that the pods of late end at once")
	})
	noTrouble(t, l)
}

// serialAt returns the serial of the zone at a node's server.
func serialAt(l *realcluster.Lab, node *realcluster.Node) (uint32, error) {
	conn, err := dial(context.Background(), l.Client, "udp", netip.AddrPortFrom(node.Host.V4, nodePort))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	reply, err := exchange(conn, new(dns.Msg).SetQuestion("minilb.", dns.TypeSOA), patience)
	if err != nil {
		return 0, err
	}
	for _, rr := range reply.Answer {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Serial, nil
		}
	}
	return 0, fmt.Errorf("no SOA in %v", reply)
}
