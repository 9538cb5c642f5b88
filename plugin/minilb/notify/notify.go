// Package notify sends NOTIFYs to the secondaries of zones that change (RFC 1996).
package notify

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/drain"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	// interval is the least time between two NOTIFYs of a zone. Secondaries fetch all changes since the one before.
	interval = time.Second

	// recheckInterval is how often serials are compared that may have waited for the clock.
	recheckInterval = 5 * time.Second

	// renewAfter is when the serials of a new process are ahead of those of the process before, which may have been ahead of the
	// clock: until then, secondaries may take our zones for older than what they have.
	renewAfter = (records.MaxAhead + 1) * time.Second
)

// Notifier notifies the secondaries that plugin transfer names.
type Notifier struct {
	Transfer       interface{ Notify(zone string) error } // plugin transfer
	Index          *records.Index                         // has the zones
	HasPredecessor bool                                   // the serials follow those of another load of this process
	Log            Logger                                 // receives which secondaries cannot be notified

	sending sync.WaitGroup
	mu      sync.Mutex
	results map[string]result // by zone
}

// Logger receives one line at a time.
type Logger interface {
	Infof(format string, args ...any)
	Warningf(format string, args ...any)
}

// result is that of the latest notification of a zone that has ended.
type result struct {
	serial uint32
	failed int // number of secondaries that did not accept it
}

// Run notifies at each change of a zone, once in interval at most, until the context ends and the notifications under way
// have ended. Each has a goroutine, so that a dead secondary, which plugin transfer tries three times for two seconds, does
// not delay the next notification of the others.
func (n *Notifier) Run(ctx context.Context) {
	defer drain.Wait(&n.sending)
	serials := map[string]uint32{}
	var renew <-chan time.Time
	if !n.HasPredecessor {
		renew = time.After(renewAfter)
	}
	for {
		select { // the first time, too: the server does not listen yet
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
		for !n.notifyChanged(serials) {
			select {
			case <-ctx.Done():
				return
			case <-n.Index.Changes:
			case <-time.After(recheckInterval):
			case <-renew:
				n.Index.MarkChanged(n.Index.Zones...)
			}
		}
	}
}

// notifyChanged notifies of the zones whose serial has changed, and reports whether there are any.
func (n *Notifier) notifyChanged(serials map[string]uint32) (changed bool) {
	if !n.Index.Synced() {
		return false // nothing can be transferred yet; the first synchronisation is a change
	}
	for _, zone := range n.Index.Zones {
		if serial := n.Index.Serial(zone); serial != serials[zone] {
			changed, serials[zone] = true, serial
			n.sending.Go(func() { n.notify(zone, serial) })
		}
	}
	return changed
}

// notify sends a zone's NOTIFYs, and logs when the number of secondaries changes that do not accept
// them. Their errors are no two times the same: they have the port that was sent from.
func (n *Notifier) notify(zone string, serial uint32) {
	var failures []string
	if err := n.Transfer.Notify(zone); err != nil {
		failures = strings.Split(err.Error(), "\n") // as errors.Join has one on each line
	}
	now := result{serial, len(failures)}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.results[zone]
	if int32(serial-before.serial) < 0 && before.serial != 0 {
		return // a later notification has ended before
	}
	if n.results == nil {
		n.results = map[string]result{}
	}
	n.results[zone] = now
	switch {
	case now.failed == before.failed:
	case failures != nil:
		n.Log.Warningf("Cannot notify all secondaries of zone %s, which see changes when they refresh: %s", zone, strings.Join(failures, "; "))
	default:
		n.Log.Infof("All secondaries of zone %s accept NOTIFYs again", zone)
	}
}
