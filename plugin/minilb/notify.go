package minilb

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// notifyInterval is how long after a NOTIFY the next one may follow: what changes meanwhile is in
// that one, as secondaries fetch the zone as a whole.
const notifyInterval = time.Second

// notifier tells the secondaries that are named in plugin transfer of changes (RFC 1996).
type notifier struct {
	transfer interface{ Notify(zone string) error }
	index    notifiable
	preceded bool // whether the serials follow those of a load of this process

	mu   sync.Mutex
	told map[string]told // by zone
}

// told is how the latest notification of a zone ended whose end is known.
type told struct {
	serial uint32 // that was told of
	deaf   string // secondaries that did not take it
}

// notifiable is what the notifier wants of the index.
type notifiable interface {
	Zones() []string
	Serial(zone string) uint32
	Synced() bool
	Changes() <-chan struct{}
	Touch(zones ...string)
}

const (
	// recheckInterval is how often it is looked for a change whose serial had to wait for the clock.
	recheckInterval = 5 * time.Second

	// renewAfter is when a process that has begun knows better than the one before: secondaries
	// may have a number of that one until then, which was ahead of the clock, and hold what we
	// have for older.
	renewAfter = (records.MaxAhead + 1) * time.Second
)

// run notifies at each change of a zone, at once and then at most once in the interval, until the
// context is cancelled. Notifications that are under way by then end by themselves: plugin transfer
// gives each secondary three tries of a few seconds, one after the other, so that run cannot wait
// for those that are dead without being late for those that are not.
func (n *notifier) run(ctx context.Context) {
	known := map[string]uint32{}
	renew := time.NewTimer(renewAfter)
	defer renew.Stop()
	if n.preceded {
		renew.Stop()
	}
	for {
		select { // the first time, too: the server does not listen yet
		case <-ctx.Done():
			return
		case <-time.After(notifyInterval):
		}
		for !n.changed(known) {
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

// changed notifies of the zones whose serial is not the known one, and reports whether there are any.
func (n *notifier) changed(known map[string]uint32) (changed bool) {
	if !n.index.Synced() {
		return false // there is nothing to transfer yet, and once there is, that is a change
	}
	for _, zone := range n.index.Zones() {
		if serial := n.index.Serial(zone); serial != known[zone] {
			changed, known[zone] = true, serial
			go n.notify(zone, serial)
		}
	}
	return changed
}

// notify tells the zone's secondaries, and logs when some begin or cease to listen: which they are
// counts, not why, as the reason has a port that is another each time.
func (n *notifier) notify(zone string, serial uint32) {
	now := told{serial: serial}
	err := n.transfer.Notify(zone)
	if err != nil {
		now.deaf = deaf(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.told[zone]
	if int32(serial-before.serial) < 0 && before.serial != 0 {
		return // it took so long that a later one has ended before
	}
	n.told[zone] = now
	switch {
	case now.deaf == before.deaf:
	case err != nil:
		log.Warningf("Cannot tell all secondaries of changes in zone %s, they will learn of them when they refresh: %s", zone, strings.ReplaceAll(err.Error(), "\n", "; "))
	default:
		log.Infof("All secondaries of zone %s are told of changes again", zone)
	}
}

var refusedBy = regexp.MustCompile(`was not accepted by ("[^"]*")`)

// deaf returns the secondaries that an error of plugin transfer is about.
func deaf(err error) string {
	var addrs []string
	for _, found := range refusedBy.FindAllStringSubmatch(err.Error(), -1) {
		addrs = append(addrs, found[1])
	}
	if addrs == nil {
		return "unknown"
	}
	return strings.Join(addrs, " ")
}
