//go:build unix

package probe

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRun probes 1,000 endpoints on loopback once a second for a second each. What it takes of
// a core is "cpu-%", the other end of each connection included, which elsewhere is another machine's.
func BenchmarkRun(b *testing.B) {
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	p := New(time.Second, newWorld())
	addr := netip.MustParseAddr("127.0.1.1")
	for range 1000 {
		p.Add(Target{Addr: netip.AddrPortFrom(addr, port)})
		addr = addr.Next()
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	time.Sleep(2 * time.Second)
	b.ResetTimer()
	used := cpu()
	for range b.N {
		time.Sleep(time.Second)
	}
	b.StopTimer()
	b.ReportMetric(100*float64(cpu()-used)/float64(b.N)/float64(time.Second), "cpu-%")
	cancel()
	running.Wait()
	for _, e := range p.schedule.entries {
		if !e.reached || e.unhealthy {
			b.Fatalf("%s was not reached", e.Addr)
		}
	}
}

// cpu returns what this process has used.
func cpu() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
