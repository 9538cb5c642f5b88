package main

import (
	"fmt"
	"io"
	"sync"

	"k8s.io/client-go/util/flowcontrol"
)

// linesAtOnce and linesPerMinute bound the lines about Nodes, which change less often unless
// somebody floods a log by them (R7b).
const linesAtOnce, linesPerMinute = 1000, 10

func newLinePace() flowcontrol.PassiveRateLimiter {
	return flowcontrol.NewTokenBucketPassiveRateLimiter(linesPerMinute/60., linesAtOnce)
}

// boundedLines writes lines, each by one Write, and drops those that are too many.
type boundedLines struct {
	w    io.Writer
	pace flowcontrol.PassiveRateLimiter

	mu  sync.Mutex
	out int // how many were dropped since the last line
}

func newBoundedLines(w io.Writer) *boundedLines { return &boundedLines{w: w, pace: newLinePace()} }

// Write implements io.Writer.
func (b *boundedLines) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := string(line)
	switch accepted := b.pace.TryAccept(); {
	case !accepted:
		if b.out++; b.out > 1 {
			return len(line), nil
		}
		text = fmt.Sprintf("minilb: too many lines: %d a minute are printed from here on\n", linesPerMinute)
	case b.out > 0:
		text = fmt.Sprintf("minilb: %d lines left out\n", b.out) + text
		b.out = 0
	}
	if _, err := io.WriteString(b.w, text); err != nil {
		return 0, err
	}
	return len(line), nil
}
