package routes

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// updates and updateBurst pace what changes all the time, as somebody may have Nodes do: so many updates may
// come at once, and then so many a second, each with all that has changed.
const updates, updateBurst = 1, 10

// Watch calls update with the entries of all nodes, as lan.Of returns them, with the API server located: first
// once that has told of all, then whenever they have changed, one call after the other, and one a second if
// they go on and on. While the API server is away, or refuses, what is known stays, and tell is called with one
// line of why; with another one when it is back. It ends with ctx, which is no error, or with the first error of
// update.
func Watch(ctx context.Context, client kubernetes.Interface, lan LAN, tell func(string), update func([]Entry) error) error {
	known := &nodes{lan: lan, byName: map[string]machine{}, changed: make(chan struct{}, 1)}
	f := &nodeWatcher{client: client, known: known, contact: contact{tell: tell, now: time.Now}}
	ctx, stop := context.WithCancel(klog.NewContext(ctx, klog.Logger{})) // client-go logs what f tells
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { f.run(ctx) })

	pace := flowcontrol.NewTokenBucketRateLimiter(updates, updateBurst)
	var last []Entry
	for first := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-known.changed:
		}
		entries := known.entries()
		if !first && slices.EqualFunc(entries, last, Entry.equal) {
			continue
		}
		if !pace.TryAccept() {
			if pace.Wait(ctx) != nil {
				return nil
			}
			if entries = known.entries(); !first && slices.EqualFunc(entries, last, Entry.equal) {
				continue
			}
		}
		if err := update(entries); err != nil {
			return err
		}
		first, last = false, entries
	}
}

// nodes holds what is read of each node as the watch has last seen it. It implements
// cache.ReflectorStore.
type nodes struct {
	// changed has a value when entries may return something else than it did last.
	changed chan struct{}

	mu     sync.Mutex
	lan    LAN
	byName map[string]machine
}

func (n *nodes) entries() []Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bounded(n.lan.entries(n.byName))
}

// locate looks for the API server's addresses anew.
func (n *nodes) locate(ctx context.Context, client kubernetes.Interface) error {
	n.mu.Lock()
	lan := n.lan
	n.mu.Unlock()
	lan, err := lan.Locate(ctx, client)
	n.mu.Lock()
	n.lan = lan
	n.mu.Unlock()
	return err
}

func (n *nodes) touch() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Add implements cache.ReflectorStore.
func (n *nodes) Add(object any) error {
	node := object.(*corev1.Node)
	if !named(node) {
		return nil
	}
	now := read(node)
	n.mu.Lock()
	last, known := n.byName[node.Name]
	same := known && last.equal(now) // most of what happens to a node
	n.byName[node.Name] = now
	n.mu.Unlock()
	if !same {
		n.touch()
	}
	return nil
}

// Update implements cache.ReflectorStore.
func (n *nodes) Update(object any) error { return n.Add(object) }

// Delete implements cache.ReflectorStore.
func (n *nodes) Delete(object any) error {
	n.mu.Lock()
	delete(n.byName, object.(*corev1.Node).Name)
	n.mu.Unlock()
	n.touch()
	return nil
}

// namedMachine is what is kept of a Node of a list.
type namedMachine struct {
	name string
	machine
}

// reduced returns it, nil of a Node whose name is none.
func reduced(object runtime.Object) any {
	if node := object.(*corev1.Node); named(node) {
		return &namedMachine{node.Name, read(node)}
	}
	return (*namedMachine)(nil)
}

// Replace implements cache.ReflectorStore. The objects are those that list has reduced.
func (n *nodes) Replace(objects []any, _ string) error {
	next := make(map[string]machine, len(objects))
	for _, object := range objects {
		if m := object.(*kube.Reduced).Object.(*namedMachine); m != nil {
			next[m.name] = m.machine
		}
	}
	n.mu.Lock()
	n.byName = next
	n.mu.Unlock()
	n.touch()
	return nil
}

// Resync implements cache.ReflectorStore.
func (n *nodes) Resync() error { return nil }

// nodeWatcher watches the nodes.
type nodeWatcher struct {
	client     kubernetes.Interface
	known      *nodes
	contact    contact
	resumption kube.Resumption
	unlocated  string // why the API server's address is not known, as told
}

func (f *nodeWatcher) run(ctx context.Context) {
	backoff, logger := kube.Reconnect, klog.Logger{}
	cache.NewReflectorWithOptions(
		kube.ListThenWatch{ListWatch: &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}},
		&corev1.Node{}, f.known,
		cache.ReflectorOptions{Name: "nodes", Backoff: &backoff, Logger: &logger},
	).RunWithContext(ctx)
}

func (f *nodeWatcher) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	// ListReduced asks for them as they are now, not as some API server has had them in its memory for a while:
	// routes of a node that is missing there would be withdrawn for a moment.
	list, err := kube.ListReduced(f.resumption.Listing(ctx, &options), options, f.client.CoreV1().Nodes().List, reduced)
	if err != nil {
		f.lost(ctx, err)
		return list, err
	}
	f.locate(ctx)
	return list, nil
}

func (f *nodeWatcher) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	events, err := f.resumption.Watch(ctx, options, f.client.CoreV1().Nodes().Watch)
	if err != nil {
		f.lost(ctx, err)
		return events, err
	}
	f.contact.made()
	f.locate(ctx) // each few minutes, as the API server ends its watches
	f.known.touch()
	return events, nil
}

// locate finds the API server's addresses, and tells once why it cannot.
func (f *nodeWatcher) locate(ctx context.Context) {
	err := f.known.locate(ctx, f.client)
	if err == nil {
		f.unlocated = ""
	} else if text := err.Error(); text != f.unlocated && ctx.Err() == nil {
		f.unlocated = text
		f.contact.tell(text)
	}
}

// lost takes note of a request that failed.
func (f *nodeWatcher) lost(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // we are stopping; or the watch cannot be resumed, and the reflector lists anew
	}
	f.contact.failed(kube.Explain("list and watch", "nodes", err))
}

// denialPatience is how long an API server may forbid what it has allowed before, until that is
// told: one that has just started does so until it has read its roles.
const denialPatience = 10 * time.Second

// contact tells of an outage in one line, and in another one of its end. What does not go away by
// itself, as a right that was taken from us, is told beside, once.
type contact struct {
	tell func(string)
	now  func() time.Time

	mu     sync.Mutex
	lost   bool      // which was told
	denied time.Time // since when we are, zero for not
	told   bool      // that we are denied
}

func (c *contact) failed(trouble *kube.Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	denied := trouble.Kind == kube.Unauthorized || trouble.Kind == kube.Forbidden
	switch {
	case !denied:
		c.denied = time.Time{}
	case c.denied.IsZero():
		c.denied = c.now()
	}
	overdue := denied && !c.told && c.now().Sub(c.denied) >= denialPatience
	if c.lost && !overdue {
		return
	}
	c.lost, c.told = true, c.told || denied
	c.tell(trouble.Text + "; retrying, the routes stay as they are")
}

func (c *contact) made() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		c.tell("watching nodes again")
	}
	c.lost, c.denied, c.told = false, time.Time{}, false
}
