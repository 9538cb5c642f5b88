package translator

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// largeCluster returns a bench with so many Services of ten endpoints each.
func largeCluster(t testing.TB, services int) *bench {
	b := newBench(t, config.Options{})
	var endpoints []string
	for i := range 10 {
		endpoints = append(endpoints, fmt.Sprintf("10.0.0.%d RSt", i+1))
	}
	for i := range services {
		name := fmt.Sprintf("shop-%d/service-%05d", i%100, i)
		b.services().Update(testService(name, 1, ""))
		b.watcher.EndpointSlices("").Update(serviceSlice(name, fmt.Sprintf("service-%05d-abcde", i), endpoints...))
	}
	b.sync()
	return b
}

// BenchmarkSnapshot is what it costs to write 10,000 Services of ten endpoints each, for how long
// that holds up an event, and what it costs to read them.
func BenchmarkSnapshot(b *testing.B) {
	large := largeCluster(b, 10_000)
	path := filepath.Join(b.TempDir(), "snapshot")
	large.watcher.KeepIn(path, func() bool { return true })
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			large.watcher.Snapshot.MarkDirty()
			if _, err := large.watcher.Snapshot.Flush(); err != nil {
				b.Fatal(err)
			}
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size()), "bytes")
	})
	b.Run("hold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			large.watcher.EndpointSlices("").List()
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := snapshot.File(path).Read(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEvent is what an event costs with a snapshot and without.
func BenchmarkEvent(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run(fmt.Sprintf("snapshot=%v", kept), func(b *testing.B) {
			large := largeCluster(b, 10_000)
			if kept {
				large.watcher.KeepIn(filepath.Join(b.TempDir(), "snapshot"), func() bool { return true })
			}
			events := []*corev1.Service{testService("shop/changing", 1, "a.ex.org"), testService("shop/changing", 1, "b.ex.org")}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				large.services().Update(events[i%2])
			}
		})
	}
}

// No more is written than is read again: 10,000 Services with ten endpoints each take a twentieth of it at most.
func TestSnapshotSize(t *testing.T) {
	w, path := largeCluster(t, 10_000).watcher, filepath.Join(t.TempDir(), "snapshot")
	w.KeepIn(path, func() bool { return true })
	w.Snapshot.MarkDirty()
	if _, err := w.Snapshot.Flush(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("10,000 Services with ten endpoints each take %d bytes", info.Size())
	if info.Size() > 128<<20/20 {
		t.Errorf("they take %d bytes", info.Size())
	}
}
