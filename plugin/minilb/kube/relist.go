package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// RelistPolicy decides whether a reflector may resume its watch from a resourceVersion or must list again. A reflector
// itself resumes wherever it can. But an API server whose etcd was restored from a backup, or that of another cluster at
// the same address, accepts a foreign resourceVersion and sends no events for the differences: the old state would stay.
//
// So a watch is resumed only after one that has lasted for the requested timeout (five to ten minutes), and over the
// same connection. Any other end, such as a restart of the API server or a GOAWAY, costs a list for each kind, paced by
// Reconnect.
//
// Each reflector has one of its own. The zero value is ready to use.
type RelistPolicy struct {
	mu         sync.Mutex
	broken     bool      // the last watch ended early, or the last request for one failed
	conn       net.Conn  // of the list, if all requests share it (HTTP/2)
	streamDone time.Time // when the last watch that began with a list ended
}

// errBrokenOff makes the reflector ask for an ordinary list.
var errBrokenOff = errors.New("the stream of a first list broke off")

// Listing returns the context for a request for a list, and sets its options: the list is the current one
// (resourceVersion ""); the first may come from the API server's cache, unless ListReduced requests it.
func (r *RelistPolicy) Listing(ctx context.Context, options *metav1.ListOptions) context.Context {
	if options.ResourceVersion != "0" {
		options.ResourceVersion = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken, r.conn = false, nil
	return traced(ctx, func(conn net.Conn) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conn = conn
	})
}

// drift is how much earlier than by our clock the API server may end a watch: while clocks are adjusted, they differ by
// some hundred microseconds a second.
const drift = time.Second

// Watch requests a watch. If the reflector must list again, it returns an error for which apierrors.IsResourceExpired
// holds. A watch that begins with a list (sendInitialEvents) counts as one.
func (r *RelistPolicy) Watch(ctx context.Context, options metav1.ListOptions, request func(context.Context, metav1.ListOptions) (watch.Interface, error)) (watch.Interface, error) {
	start := time.Now()
	streams := options.SendInitialEvents != nil
	var conn net.Conn
	if streams {
		ctx = r.Listing(ctx, &options)
	} else {
		ctx = traced(ctx, func(c net.Conn) { conn = c })
	}
	r.mu.Lock()
	broken, streamDone := r.broken, r.streamDone
	r.mu.Unlock()
	switch {
	case broken:
		return nil, apierrors.NewResourceExpired("the watch before did not end in time: list anew")
	case streams && time.Since(streamDone) < Reconnect.Duration:
		// The reflector has not paused since, and will not before it has a whole list.
		return nil, errBrokenOff
	}
	w, err := request(ctx, options)

	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case apierrors.IsTooManyRequests(err):
		return nil, err // an overloaded server is not asked for a list
	case err != nil:
		r.broken = true
		return nil, err
	case conn != nil && r.conn != nil && conn != r.conn:
		w.Stop()
		return nil, apierrors.NewResourceExpired("the connection is not that of the list: list anew")
	}
	return &resumable{Interface: w, ended: sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		now := time.Now()
		inTime := options.TimeoutSeconds != nil && now.Sub(start)+drift >= time.Duration(*options.TimeoutSeconds)*time.Second
		r.broken = r.broken || !inTime
		if streams {
			r.streamDone = now
		}
	})}, nil
}

// resumable is a watch that reports when the reflector is done with it.
type resumable struct {
	watch.Interface
	ended func()
}

// Stop implements the watch.Interface interface.
func (w *resumable) Stop() {
	w.ended()
	w.Interface.Stop()
}

// traced returns a context for a request that reports its connection if all requests share one (only HTTP/2).
func traced(ctx context.Context, took func(net.Conn)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if conn, ok := info.Conn.(*tls.Conn); ok && conn.ConnectionState().NegotiatedProtocol == "h2" {
			took(conn)
		}
	}})
}
