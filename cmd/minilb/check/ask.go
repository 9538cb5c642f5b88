package check

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"k8s.io/client-go/util/workqueue"
)

const (
	askTimeout  = 2 * time.Second
	askAttempts = 2  // a packet may get lost
	askAtATime  = 16 // questions
)

// Server returns the address and port of a DNS server that is written as either "address",
// "address:port" or "[address]:port"; the port is 53 without one. The address may be a name.
func Server(written string) (string, error) {
	host, port, err := net.SplitHostPort(written)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(written, "["), "]"), "53"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /[]") {
		return "", fmt.Errorf("%q: want an ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", written)
	}
	return net.JoinHostPort(host, port), nil
}

type question struct {
	name  string // with its final dot
	qtype uint16
}

type answer struct {
	problem string // one clause, "" if there is none
	target  string // of the first alias, "" for none
	addrs   []netip.Addr
}

// askAll asks the server all questions, until the context ends.
func askAll(ctx context.Context, ask asker, questions []question) map[question]answer {
	return inParallel(ctx, questions, func(q question) answer { return answerTo(ctx, ask, q) })
}

// inParallel calls f with each question until the context ends, and returns what it returned.
func inParallel[T any](ctx context.Context, questions []question, f func(question) T) map[question]T {
	var mu sync.Mutex
	answers := map[question]T{}
	workqueue.ParallelizeUntil(ctx, askAtATime, len(questions), func(i int) {
		got := f(questions[i])
		mu.Lock()
		defer mu.Unlock()
		answers[questions[i]] = got
	})
	return answers
}

func answerTo(ctx context.Context, ask asker, q question) answer {
	reply, err := ask(ctx, q)
	if err != nil {
		return answer{problem: "does not answer: " + err.Error()}
	}
	var got answer
	if reply.Rcode != dns.RcodeSuccess {
		got.problem = "returns " + dns.RcodeToString[reply.Rcode] // of what an alias leads to, if there is one (RFC 6604)
	}
	add := func(ip net.IP) {
		addr, _ := netip.AddrFromSlice(ip)
		got.addrs = append(got.addrs, addr.Unmap())
	}
	for _, rr := range reply.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			got.target = cmp.Or(got.target, dns.CanonicalName(rr.Target))
		case *dns.A:
			add(rr.A)
		case *dns.AAAA:
			add(rr.AAAA)
		}
	}
	return got
}

// asker asks a DNS server.
type asker func(context.Context, question) (*dns.Msg, error)

// over returns the asker of the server at an address: over UDP, and over TCP what does not fit there.
func over(server string) asker {
	return func(ctx context.Context, q question) (*dns.Msg, error) {
		message := new(dns.Msg)
		message.SetQuestion(q.name, q.qtype)
		message.SetEdns0(1232, false)
		var reply *dns.Msg
		var err error
		for range askAttempts {
			client := dns.Client{Net: "udp", Timeout: askTimeout}
			if reply, _, err = client.ExchangeContext(ctx, message, server); err == nil && reply.Truncated {
				client.Net = "tcp"
				reply, _, err = client.ExchangeContext(ctx, message, server)
			}
			if err == nil || ctx.Err() != nil {
				break
			}
		}
		return reply, err
	}
}
