package resolvers_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestTransferMany transfers zones of many endpoints, 10,000 in full, while they change all the time,
// to the end and not. It is serial: its writers make no pause.
func TestTransferMany(t *testing.T) {
	const each, writers, transfers = 20, 4, 4
	services := 100
	if harness.Full {
		services = 500
	}
	changing := services * 4 / 5
	c := harness.Shared(t)
	ns := harness.NewNamespace(t, c)
	ctx := t.Context()
	harness.Parallel(t, services, func(i int) error {
		service := harness.LoadService(fmt.Sprintf("s%04d", i))
		service.Spec.Ports[0].Name = "http"
		if _, err := c.Client.CoreV1().Services(ns).Create(ctx, service, metav1.CreateOptions{}); err != nil {
			return err
		}
		_, err := c.Client.DiscoveryV1().EndpointSlices(ns).Create(ctx, manySlice(i, 0, each), metav1.CreateOptions{})
		return err
	})
	s := harness.StartCoreDNS(t, fmt.Sprintf(`minilb:PORT 10.0.0.0/8:PORT {
		bind 127.0.0.1
		READY
		PROM
		errors
		transfer {
			to *
		}
		minilb {
			kubeconfig %s
			namespaces %s
		}
	}`, c.Kubeconfig, ns))
	s.WaitReady(t)
	last := manySlice(services-1, 0, each).Endpoints[each-1].Addresses[0]
	name := fmt.Sprintf("%s.s%04d.%s.minilb", strings.ReplaceAll(last, ".", "-"), services-1, ns)
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(name, dns.TypeA, last) })
	rest := goroutines(t, s)

	writing, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		stop()
		wg.Wait()
	}()
	for w := range writers {
		wg.Go(func() {
			for round := 1; ; round++ {
				for i := w; i < changing; i += writers {
					if writing.Err() != nil {
						return
					}
					// The number of endpoints stays as it is, so that what is torn can be told.
					if _, err := c.Client.DiscoveryV1().EndpointSlices(ns).Update(ctx, manySlice(i, round, each), metav1.UpdateOptions{}); err != nil {
						t.Errorf("change the endpoints: %v", err)
						return
					}
				}
			}
		})
	}
	checkzone := harness.Program(t, "named-checkzone", "bind9-utils")
	serials := map[string]uint32{}
	for i := range transfers {
		zone := []string{"minilb.", "10.in-addr.arpa."}[i%2]
		began := time.Now()
		rrs, err := axfr(s.Addr, zone)
		harness.Must(t, err)
		took := time.Since(began)
		soa, content := envelope(t, rrs)
		if soa.Serial <= serials[zone] {
			t.Errorf("%s: serial %d after %d, while its content changes", zone, soa.Serial, serials[zone])
		}
		serials[zone] = soa.Serial
		counts, stable := map[uint16]int{}, 0
		var text strings.Builder
		text.WriteString(soa.String() + "\n")
		for _, rr := range content {
			counts[rr.Header().Rrtype]++
			if ptr, ok := rr.(*dns.PTR); ok && serviceNumber(ptr.Ptr) >= changing {
				stable++
			}
			text.WriteString(rr.String() + "\n")
		}
		t.Logf("%s: %d records in %v", zone, len(rrs), took)
		if zone == "minilb." {
			// The Service's name and the endpoint's, and one port.
			if a, srv := counts[dns.TypeA], counts[dns.TypeSRV]; a != 2*services*each+1 || srv != services*each {
				t.Errorf("got %d A and %d SRV records, want %d and %d", a, srv, 2*services*each+1, services*each)
			}
		} else if rest := counts[dns.TypePTR] - stable; stable != (services-changing)*each || rest > changing*each {
			// Addresses that come or go during a transfer may be missing, and are in the next one.
			t.Errorf("got %d PTR records of what changes and %d of what does not, want at most %d and %d", rest, stable, changing*each, (services-changing)*each)
		}
		path := filepath.Join(t.TempDir(), "zone")
		harness.Must(t, os.WriteFile(path, []byte(text.String()), 0o600))
		out, err := harness.Run(t, checkzone, "-i", "local", "-k", "fail", "-m", "fail", "-n", "fail", "-r", "fail", "-S", "fail", zone, path)
		if err != nil || strings.Count(out, "\n") != 2 {
			t.Errorf("named-checkzone %s: %v, want no complaint, got\n%.2000s", zone, err, out)
		}
	}

	stop()
	wg.Wait()

	for range 20 {
		harness.Must(t, breakOff(s.Addr))
	}
	began := time.Now()
	cluster.Eventually(t, 20*time.Second, func() error {
		if now := goroutines(t, s); now > rest+5 {
			return fmt.Errorf("%d goroutines after transfers that were broken off, %d before", now, rest)
		}
		return nil
	})
	t.Logf("what was broken off is gone after %v", time.Since(began))
	if _, err := axfr(s.Addr, "minilb"); err != nil {
		t.Error(err)
	}
}

// manySlice are the endpoints of a Service in one of the rounds: none has an address of another,
// nor of the round before.
func manySlice(service, round, endpoints int) *discoveryv1.EndpointSlice {
	slice := harness.LoadSlice(fmt.Sprintf("s%04d", service), 0)
	port, name, protocol := int32(8080), "http", corev1.ProtocolTCP
	slice.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}}
	slice.Endpoints = nil
	for i := range endpoints {
		addr := fmt.Sprintf("10.%d.%d.%d", service/256+6, service%256, i+round%10*endpoints)
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}})
	}
	return slice
}

// serviceNumber returns that of the Service whose endpoint has the name.
func serviceNumber(endpoint string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(dns.SplitDomainName(endpoint)[1], "s"))
	return n
}

// breakOff asks for the zone and goes away when a part of it has come. It takes in so little at a
// time, by segments so small, that the server cannot have sent all: on loopback it would else have
// megabytes on the way.
func breakOff(addr string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) {
			err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536), syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096))
		}); failed != nil {
			return failed
		}
		return err
	}}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetLinger(0)
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := (&dns.Conn{Conn: conn}).WriteMsg(new(dns.Msg).SetAxfr("minilb.")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 100))
	return err
}

func goroutines(t *testing.T, s *harness.CoreDNS) int {
	t.Helper()
	_, metrics := harness.Get(s.Prom)
	_, number, _ := strings.Cut(strings.TrimSpace(harness.Grep(metrics, "go_goroutines ")), " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("how many goroutines: %v in\n%s", err, harness.Grep(metrics, "go_"))
	}
	return n
}
