package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/daemon"
)

// clients is how many sockets dnsperf asks from: each has a port of its own.
const clients = 8

// checked is how many questions are looked at before a server is asked all of them.
const checked = 20

// contender is a server that is measured beside others.
type contender struct {
	name      string
	server    *server
	questions []question // all with the same rcode
	file      string     // where they are written for dnsperf
	micros    []float64  // CPU time per query in each round
	rates     []float64  // queries a second in each round
}

// contend prepares a server to be asked questions: it waits until they are answered as they are
// to be and writes them in random order.
func (b *bench) contend(ctx context.Context, name string, s *server, questions []question) (*contender, error) {
	c := &contender{name: name, server: s, questions: questions}
	for i := range checked {
		if err := s.until(ctx, questions[i*(len(questions)-1)/(checked-1)]); err != nil {
			return nil, err
		}
	}
	lines := make([]string, len(questions))
	for i, at := range rand.Perm(len(questions)) {
		lines[i] = questions[at].String()
	}
	var err error
	c.file, err = b.file(strings.ReplaceAll(name, " ", "-")+".questions", strings.Join(lines, "\n")+"\n")
	return c, err
}

// race loads the contenders one after the other, round by round, each time in another order.
func (b *bench) race(ctx context.Context, contenders ...*contender) error {
	if err := warm(ctx, contenders...); err != nil {
		return err
	}
	for range b.effort.rounds {
		for _, i := range rand.Perm(len(contenders)) {
			if err := contenders[i].round(ctx, b.effort.load); err != nil {
				return err
			}
		}
	}
	return nil
}

// warm loads the contenders for a moment, so that their heaps have grown to what they need.
func warm(ctx context.Context, contenders ...*contender) error {
	for _, c := range contenders {
		if _, _, err := c.load(ctx, "-l", "0.5"); err != nil {
			return err
		}
	}
	return nil
}

// round loads the server for a time and notes the CPU time of a query.
func (c *contender) round(ctx context.Context, d time.Duration) error {
	micros, rate, err := c.load(ctx, "-l", fmt.Sprint(d.Seconds()))
	if err != nil {
		return err
	}
	c.micros, c.rates = append(c.micros, micros), append(c.rates, rate)
	return nil
}

// load asks the questions with dnsperf, as fast as they are answered, and returns the server's
// CPU time per query in microseconds, and how many queries there were in a second.
func (c *contender) load(ctx context.Context, limit ...string) (micros, rate float64, err error) {
	host, port, _ := net.SplitHostPort(c.server.addr)
	args := append([]string{"-s", host, "-p", port, "-d", c.file, "-c", strconv.Itoa(clients), "-T", "1"}, limit...)
	cmd := exec.CommandContext(ctx, "dnsperf", args...)
	cmd.SysProcAttr = daemon.DieWithParent(&syscall.SysProcAttr{Setpgid: true})
	before, err := cpuTime(c.server.PID())
	if err != nil {
		return 0, 0, err
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("dnsperf %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	after, err := cpuTime(c.server.PID())
	if err != nil {
		return 0, 0, err
	}
	a, err := parseDNSPerf(string(output))
	if err == nil {
		err = a.all(dns.RcodeToString[c.questions[0].rcode])
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w in what dnsperf said:\n%s", c.name, err, output)
	}
	return float64((after - before).Microseconds()) / float64(a.completed), float64(a.completed) / a.seconds, nil
}

// answered is what dnsperf says of the answers that it got.
type answered struct {
	completed, lost int
	seconds         float64 // that it took
	rcodes          map[string]int
}

var (
	completedLine = regexp.MustCompile(`(?m)^ *Queries completed: +(\d+) `)
	lostLine      = regexp.MustCompile(`(?m)^ *Queries lost: +(\d+) `)
	secondsLine   = regexp.MustCompile(`(?m)^ *Run time \(s\): +([0-9.]+)$`)
	rcodesLine    = regexp.MustCompile(`(?m)^ *Response codes: +(.*)$`)
	rcode         = regexp.MustCompile(`(\w+) (\d+) \([0-9.]+%\)`)
)

func parseDNSPerf(output string) (answered, error) {
	a := answered{rcodes: map[string]int{}}
	completed, lost, seconds := completedLine.FindStringSubmatch(output), lostLine.FindStringSubmatch(output), secondsLine.FindStringSubmatch(output)
	if completed == nil || lost == nil || seconds == nil {
		return a, errors.New("there are no completed and lost queries, or no time")
	}
	a.completed, _ = strconv.Atoi(completed[1])
	a.lost, _ = strconv.Atoi(lost[1])
	a.seconds, _ = strconv.ParseFloat(seconds[1], 64)
	if line := rcodesLine.FindStringSubmatch(output); line != nil {
		for _, match := range rcode.FindAllStringSubmatch(line[1], -1) {
			a.rcodes[match[1]], _ = strconv.Atoi(match[2])
		}
	}
	return a, nil
}

// all returns an error unless all but a few queries were answered, each with the rcode.
func (a answered) all(rcode string) error {
	const few = 1000 // of so many one may be lost, where the machine is busy with other things
	switch {
	case a.completed == 0:
		return errors.New("no query was answered")
	case a.rcodes[rcode] != a.completed:
		return fmt.Errorf("the answers are %v, want %d of %s alone", a.rcodes, a.completed, rcode)
	case a.lost > a.completed/few:
		return fmt.Errorf("%d of %d queries were lost", a.lost, a.completed+a.lost)
	}
	return nil
}

// compare adds a figure of how much CPU time a query costs against another contender's: the
// median of what it was in each round, and how far the rounds in the middle half differ.
func (b *bench) compare(name string, must, aim float64, c, against *contender) {
	quotients := ratios(c.micros, against.micros)
	b.report.add(figure{
		name: name, unit: times, must: must, aim: aim, measured: median(quotients),
		detail: fmt.Sprintf("%.2f–%.2f in half of %d rounds, about %.1f µs", percentile(quotients, 25), percentile(quotients, 75), len(quotients), median(c.micros)),
	})
}
