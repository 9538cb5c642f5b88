package harness

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Ask sends a question over UDP or TCP, without recursion desired and without EDNS.
func Ask(addr, network, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(m, addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, dns.TypeToString[qtype], err)
	}
	return reply, nil
}

// Serials returns the serial of each zone.
func Serials(t *testing.T, s *CoreDNS, zones ...string) []uint32 {
	t.Helper()
	var numbers []uint32
	for _, zone := range zones {
		reply, err := s.Ask("udp", zone, dns.TypeSOA)
		Must(t, err)
		i := slices.IndexFunc(reply.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
		if i < 0 {
			t.Fatalf("%s has no SOA:\n%s", zone, reply)
		}
		numbers = append(numbers, reply.Answer[i].(*dns.SOA).Serial)
	}
	return numbers
}

// KeepAsking asks for the addresses of names fifty times a second, and for readiness now and
// then, until the function it returns is called: every name must have an address each time.
func KeepAsking(t *testing.T, s *CoreDNS, names ...string) (stop func()) {
	t.Helper()
	began := time.Now()
	done, result := make(chan struct{}), make(chan error, 1)
	var rounds int
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ; ; rounds++ {
			select {
			case <-done:
				result <- nil
				return
			case <-ticker.C:
			}
			for _, name := range names {
				got, rcode, err := s.Answers(name, dns.TypeA)
				if err == nil && len(got) == 0 {
					err = fmt.Errorf("%s: got %s without an address", name, dns.RcodeToString[rcode])
				}
				if err != nil {
					result <- fmt.Errorf("%v after the first question: %w", time.Since(began), err)
					return
				}
			}
			if rounds%12 == 0 {
				if code, body := Get(s.Ready); code == http.StatusServiceUnavailable {
					result <- fmt.Errorf("%v after the first question: /ready is %d %s", time.Since(began), code, body)
					return
				}
			}
		}
	}()
	return func() {
		t.Helper()
		close(done)
		if err := <-result; err != nil {
			t.Errorf("%v\n%s", err, s.Log)
		} else if rounds == 0 {
			t.Error("not a single question was asked")
		}
	}
}

// Transfer returns all records of the transfer that a message asks for.
func Transfer(addr string, q *dns.Msg) ([]dns.RR, error) {
	what := q.Question[0].Name + " " + dns.TypeToString[q.Question[0].Qtype]
	client := dns.Transfer{DialTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second}
	envelopes, err := client.In(q, addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var rrs []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			err = fmt.Errorf("%s: %w", what, e.Error)
		}
		rrs = append(rrs, e.RR...)
	}
	if err == nil && len(rrs) == 0 {
		err = fmt.Errorf("%s: got nothing", what)
	}
	return rrs, err
}

// Get returns the status and body of a URL, 0 if it cannot be had. It leaves no connection open, which
// the server would hold beside what is its own.
func Get(url string) (int, string) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Close = true
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// PortOf returns the port of an address.
func PortOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
