package faults_test

import (
	"fmt"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// inject makes random faults, one after the other, until the end.
func (w *soak) inject(end time.Time) {
	faults := []func(){w.loseAPIServer, w.resetConnections, w.reload, w.freeze, w.restart}
	for round := 0; ; round++ {
		if round%len(faults) == 0 {
			w.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		calm := w.between(time.Second, 8*time.Second)
		if time.Until(end) < calm+soakRecovery {
			w.wait(time.Until(end))
			return
		}
		w.wait(calm)
		faults[round%len(faults)]()
	}
}

func (w *soak) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)))
}

// wait waits, and looks at the serial meanwhile: it never goes back (D24).
func (w *soak) wait(d time.Duration) {
	for end := time.Now().Add(d); time.Until(end) > 0; time.Sleep(min(500*time.Millisecond, max(0, time.Until(end)))) {
		reply, err := harness.Ask(w.addr, "tcp", soakZone, dns.TypeSOA)
		if err != nil || len(reply.Answer) != 1 {
			w.Errorf("the SOA: got %v, %v", reply, err)
			return
		}
		serial := reply.Answer[0].(*dns.SOA).Serial
		if serial < w.serial {
			w.Errorf("the serial went from %d to %d", w.serial, serial)
		}
		w.serial = serial
	}
}

// holdChanges lets nothing be changed until what it returns is called.
func (w *soak) holdChanges() (resume func()) {
	held := make(chan struct{})
	w.pause <- held
	return func() { close(held) }
}

// during does something to the server, and notes it.
func (w *soak) during(f disturbance, do func()) {
	noted := w.judge.begin(f)
	do()
	w.judge.end(noted)
	w.done[f.what]++
}

func (w *soak) loseAPIServer() {
	resume := w.holdChanges()
	time.Sleep(time.Second) // what was changed is known to all
	w.during(disturbance{what: "the API server is away", recovery: soakRecovery}, func() {
		harness.Must(w.T, w.cluster.StopAPIServer())
		w.wait(w.between(time.Second, 6*time.Second))
		harness.Must(w.T, w.cluster.StartAPIServer(w.Context()))
		cluster.Eventually(w.T, 30*time.Second, func() error {
			if !w.mirror.complete() {
				return fmt.Errorf("the mirror cannot watch")
			}
			return nil
		})
	})
	if w.random.IntN(2) == 0 {
		resume()
		return
	}
	w.wait(soakRecovery) // a time in which all answers can be checked, from the recovery on
	resume()
}

func (w *soak) resetConnections() {
	w.during(disturbance{what: "the connections to the API server break", recovery: soakRecovery}, func() {
		for range 1 + w.random.IntN(4) {
			w.relay.Cut()
			w.wait(w.between(100*time.Millisecond, time.Second))
		}
	})
}

func (w *soak) reload() {
	w.during(disturbance{what: "it reloads"}, func() {
		loads := len(w.s.Log.Lines("Reloading complete"))
		harness.Must(w.T, w.s.Cmd.Process.Signal(syscall.SIGUSR1))
		cluster.Eventually(w.T, 30*time.Second, func() error {
			if len(w.s.Log.Lines("Reloading complete")) == loads {
				return fmt.Errorf("not reloaded:\n%s", w.s.Log)
			}
			return nil
		})
	})
}

func (w *soak) freeze() {
	w.during(disturbance{what: "it is stopped", silent: true}, func() {
		harness.Must(w.T, w.s.Cmd.Process.Signal(syscall.SIGSTOP))
		time.Sleep(w.between(100*time.Millisecond, 2*time.Second))
		harness.Must(w.T, w.s.Cmd.Process.Signal(syscall.SIGCONT))
	})
}

func (w *soak) restart() {
	w.during(disturbance{what: "it restarts", silent: true}, func() {
		w.s.Stop(w.T)
		w.start()
	})
}
