// Package drain waits for goroutines that other plugins delay.
package drain

import (
	"sync"
	"time"
)

// Timeout bounds the wait: whatever becomes of the context, plugin transfer tries each secondary three times for two seconds,
// and plugin forward waits for an upstream. A server that stops still answers meanwhile.
const Timeout = 7 * time.Second

// Wait waits until the goroutines have ended, for Timeout at most.
func Wait(goroutines *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		goroutines.Wait()
	}()
	select {
	case <-done:
	case <-time.After(Timeout):
	}
}
