package faults_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// soakConvergence is how long a change may take to be answered, and soakRecovery how long what
	// a fault has held up may take, from its end.
	soakConvergence = 2 * time.Second
	soakRecovery    = 10 * time.Second

	// soakLag is how much later than the server under test the mirror may see a change.
	soakLag = time.Second
)

// disturbance is something that is done to the server or what it depends on, for a time.
type disturbance struct {
	what     string
	from, to time.Time     // the latter zero while it lasts
	recovery time.Duration // for how long after it what has happened meanwhile may not be known
	silent   bool          // there may be no answers while it lasts, or such as say that there are none yet
}

// judge compares answers with the oracle once it is known what has happened around them.
type judge struct {
	mirror  *mirror
	pending chan observation

	mu     sync.Mutex
	faults []*disturbance

	asked, checked, converging, excused int

	stalls int // of the machine

	under map[string]int // checked while a fault lasted
	wrong []string
}

// begin notes a disturbance, and end its end.
func (j *judge) begin(f disturbance) *disturbance {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.from = time.Now()
	j.faults = append(j.faults, &f)
	return &f
}

func (j *judge) end(f *disturbance) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.to = time.Now()
}

// soakStock is the name that CoreDNS without the plugin knows, and soakStall how long it may take to answer
// where the machine is not too busy to judge anybody.
const (
	soakStock = "stock.test"
	soakStall = 250 * time.Millisecond
)

// watchMachine asks CoreDNS without the plugin all the time, until the context ends. While it does not answer soon, neither
// the server under test nor the mirror can be expected to.
func (j *judge) watchMachine(ctx context.Context, stock string) {
	ticker := time.NewTicker(soakStall / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		noted := j.begin(disturbance{what: "the machine is too busy", recovery: soakConvergence, silent: true})
		observe(stock, "udp", soakStock+".", dns.TypeA)
		if j.end(noted); noted.to.Sub(noted.from) < soakStall {
			j.forget(noted)
		} else {
			j.stalls++
		}
	}
}

// forget takes a disturbance back.
func (j *judge) forget(f *disturbance) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = slices.DeleteFunc(j.faults, func(noted *disturbance) bool { return noted == f })
}

// run judges what is pending, in order, until there is no more.
func (j *judge) run() {
	for o := range j.pending {
		j.asked++
		time.Sleep(time.Until(o.got.Add(soakLag + 500*time.Millisecond)))
		for j.unfinished(&o) {
			time.Sleep(100 * time.Millisecond)
		}
		j.judge(&o)
	}
}

// unfinished reports whether a fault lasts that began before the answer, or has just ended.
func (j *judge) unfinished(o *observation) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, f := range j.faults {
		if f.from.Before(o.got) && (f.to.IsZero() || time.Since(f.to) < soakLag) {
			return true
		}
	}
	return false
}

func (j *judge) judge(o *observation) {
	from, to := o.sent.Add(-soakConvergence), o.got.Add(soakLag)
	silent := false
	during := map[string]*disturbance{}
	j.mu.Lock()
	for _, f := range j.faults {
		if f.from.After(o.got) || f.to.Add(f.recovery+soakConvergence).Before(o.sent) {
			continue
		}
		if before := f.from.Add(-soakConvergence); before.Before(from) {
			from = before
		}
		if f.to.After(o.sent) {
			silent = silent || f.silent
			during[fmt.Sprintf("while %s (from %s to %s)", f.what, f.from.Format(time.TimeOnly), f.to.Format(time.TimeOnly))] = f
			// The mirror is no better than the server at watching an API server that is just
			// coming back, with controllers that go on at once.
			if seen := f.to.Add(soakLag); seen.After(to) {
				to = seen
			}
		}
	}
	j.mu.Unlock()

	verdicts := map[string]bool{}
	for _, s := range j.mirror.between(from, to, o.sent.Add(-45*time.Second)) {
		if verdicts[s.model().verdict(o.name, o.qtype)] = true; len(verdicts) > 1 {
			j.converging++
			return
		}
	}
	switch want := slices.Collect(maps.Keys(verdicts))[0]; {
	case o.said == want:
		j.checked++
		for _, f := range during {
			j.under[f.what]++
		}
	case silent && (strings.HasPrefix(o.said, "no answer") || o.said == "SERVFAIL"):
		j.excused++
	default:
		j.wrong = append(j.wrong, fmt.Sprintf("%s %s\n\tgot  %s\n\twant %s\n\t%s", o, strings.Join(slices.Collect(maps.Keys(during)), ", "), o.said, want,
			strings.Join(j.mirror.about(o.name), "\n\t")))
	}
}
