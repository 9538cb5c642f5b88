package minilb

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	// notifyInterval is the least time between two NOTIFYs of a zone. Secondaries fetch the zone as
	// a whole: the second one covers all changes since the first.
	notifyInterval = time.Second

	// recheckInterval is how often serials are compared that may have waited for the clock.
	recheckInterval = 5 * time.Second

	// renewAfter is when the serials of a new process are ahead of those of the process before,
	// which may have been ahead of the clock: until then, secondaries may take our zones for older
	// than what they have.
	renewAfter = (records.MaxAhead + 1) * time.Second
)

// notifier notifies the secondaries that plugin transfer names of changes (RFC 1996).
type notifier struct {
	transfer       interface{ Notify(zone string) error }
	index          *records.Index
	hasPredecessor bool // the serials follow those of another load of this process
	sending        sync.WaitGroup

	mu       sync.Mutex
	notified map[string]notified // by zone
}

// notified is the result of the latest notification of a zone that has ended.
type notified struct {
	serial uint32
	failed int // number of secondaries that did not accept it
}

// run notifies at each change of a zone, at once and then once in notifyInterval at most, until the
// context ends and the notifications that are under way have ended. Each has a goroutine: plugin
// transfer tries each secondary three times for two seconds, one after the other, and a dead one
// must not delay the next notification of the others.
func (n *notifier) run(ctx context.Context) {
	defer drain(&n.sending)
	serials := map[string]uint32{}
	renew := time.NewTimer(renewAfter)
	defer renew.Stop()
	if n.hasPredecessor {
		renew.Stop()
	}
	for {
		select { // the first time, too: the server does not listen yet
		case <-ctx.Done():
			return
		case <-time.After(notifyInterval):
		}
		for !n.notifyChanged(serials) {
			select {
			case <-ctx.Done():
				return
			case <-n.index.Changes():
			case <-time.After(recheckInterval):
			case <-renew.C:
				n.index.Touch(n.index.Zones()...)
			}
		}
	}
}

// notifyChanged notifies of the zones whose serial has changed, and reports whether there are any.
func (n *notifier) notifyChanged(serials map[string]uint32) (changed bool) {
	if !n.index.Synced() {
		return false // nothing can be transferred yet; the first synchronisation is a change
	}
	for _, zone := range n.index.Zones() {
		if serial := n.index.Serial(zone); serial != serials[zone] {
			changed, serials[zone] = true, serial
			n.sending.Go(func() { n.notify(zone, serial) })
		}
	}
	return changed
}

// notify sends a zone's NOTIFYs, and logs when the number of secondaries changes that do not accept
// them. Their errors are no two times the same: they have the port that was sent from.
func (n *notifier) notify(zone string, serial uint32) {
	err := n.transfer.Notify(zone)
	now := notified{serial, countErrors(err)}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.notified[zone]
	if int32(serial-before.serial) < 0 && before.serial != 0 {
		return // a later notification has ended before
	}
	n.notified[zone] = now
	switch {
	case now.failed == before.failed:
	case err != nil:
		log.Warningf("Cannot tell all secondaries of changes in zone %s, they will learn of them when they refresh: %s", zone, strings.ReplaceAll(err.Error(), "\n", "; "))
	default:
		log.Infof("All secondaries of zone %s are told of changes again", zone)
	}
}

// countErrors returns how many errors are joined in one.
func countErrors(err error) (count int) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return 0
		}
		return 1
	}
	for _, err := range joined.Unwrap() {
		count += countErrors(err)
	}
	return count
}
