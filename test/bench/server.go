package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/daemon"
)

// patience is how long anything may take that takes seconds on an idle machine.
const patience = 2 * time.Minute

// server is a CoreDNS, ours or stock, that runs.
type server struct {
	*daemon.Daemon
	addr    string // of DNS
	http    string // of what the Corefile has at HTTP
	started time.Time
}

// serve starts a CoreDNS with a Corefile, in which PORT stands for the port of DNS, HTTP for an
// address and KUBECONFIG for a kubeconfig's path. It does not wait until it answers. The server
// is stopped with the part that is measured.
func (b *bench) serve(name, binary, corefile string) (*server, error) {
	addrs, err := cluster.FreeAddrs(2)
	if err != nil {
		return nil, err
	}
	s := &server{addr: addrs[0], http: addrs[1]}
	_, port, _ := net.SplitHostPort(s.addr)
	corefile = strings.NewReplacer("PORT", port, "HTTP", s.http, "KUBECONFIG", b.cluster.Kubeconfig).Replace(corefile)
	path, err := b.file(name+".Corefile", corefile)
	if err != nil {
		return nil, err
	}
	s.Daemon = &daemon.Daemon{Name: name, Path: binary, Args: []string{"-conf", path}, Log: filepath.Join(b.dir, name+".log")}
	s.started = time.Now()
	if err := s.Start(b.died); err != nil {
		return nil, err
	}
	b.running = append(b.running, s)
	return s, nil
}

// minilb is the Corefile of a server that has nothing but our plugin. With namespace "" it reads
// the whole cluster.
func minilb(namespace string) string {
	if namespace != "" {
		namespace = "namespaces " + namespace
	}
	return block(".", fmt.Sprintf("minilb minilb {\nkubeconfig KUBECONFIG\nmax_answers 0\n%s\n}", namespace))
}

// block is a Corefile with one server block of what all that are compared have.
func block(zone, plugins string) string {
	return fmt.Sprintf("%s:PORT {\nbind 127.0.0.1\nerrors\n%s\n}\n", zone, plugins)
}

// stopServers stops those that a part has started.
func (b *bench) stopServers() {
	for _, s := range b.running {
		s.Stop()
	}
	b.running = nil
}

// question is a name and a type, and what it is to be answered.
type question struct {
	name    string
	qtype   uint16
	rcode   int
	answers int    // records of the type in the answer
	has     string // one of their data, "" for any
}

func (q question) String() string { return q.name + " " + dns.TypeToString[q.qtype] }

// check returns an error unless the question is answered as it is to be.
func (q question) check(reply *dns.Msg) error {
	answers, found := 0, q.has == ""
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == q.qtype {
			answers++
			found = found || strings.TrimPrefix(rr.String(), rr.Header().String()) == q.has
		}
	}
	if reply.Rcode != q.rcode || answers != q.answers || !found {
		return fmt.Errorf("%s: got %s with %d records, want %s with %d %s, in\n%s", q,
			dns.RcodeToString[reply.Rcode], answers, dns.RcodeToString[q.rcode], q.answers, q.has, reply)
	}
	return nil
}

// poll is the time between two questions of until.
const poll = 50 * time.Microsecond

// until asks all but without pause until the question is answered as it is to be.
func (s *server) until(ctx context.Context, q question) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := dns.Client{Timeout: time.Second}
	conn, err := client.DialContext(ctx, s.addr)
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.Name, err)
	}
	defer conn.Close()
	for {
		reply, _, err := client.ExchangeWithConnContext(ctx, new(dns.Msg).SetQuestion(q.name, q.qtype), conn)
		if err == nil {
			err = q.check(reply)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s, after %v: %w", s.Name, patience, err)
		}
		time.Sleep(poll)
	}
}
