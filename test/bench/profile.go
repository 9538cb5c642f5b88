package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// profileSeconds is how long the CPU is watched: shorter than any load.
const profileSeconds = 5

// profileCPU begins to take a profile of what the server does, if one is wanted. The function it
// returns waits for the end and writes it.
func (b *bench) profileCPU(ctx context.Context, s *server, name string) (end func() error) {
	if b.profile == "" {
		return func() error { return nil }
	}
	failed := make(chan error, 1)
	go func() {
		failed <- b.saveProfile(ctx, s, fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds), "cpu-"+name+".pprof")
	}()
	return func() error { return <-failed }
}

// profiled is a Corefile whose server can be profiled, if that is wanted.
func (b *bench) profiled(corefile string) string {
	if b.profile == "" {
		return corefile
	}
	return strings.Replace(corefile, "errors\n", "errors\npprof HTTP\n", 1)
}

// profileLoad takes a profile of what the server does for a contender's questions, if one is wanted.
func (b *bench) profileLoad(ctx context.Context, c *contender) error {
	if b.profile == "" {
		return nil
	}
	end := b.profileCPU(ctx, c.server, strings.ReplaceAll(c.name, " ", "-"))
	_, _, err := c.load(ctx, "-l", strconv.Itoa(profileSeconds+1))
	return errors.Join(err, end())
}

// profileHeap writes what is in the server's memory, if that is wanted.
func (b *bench) profileHeap(ctx context.Context, s *server) error {
	if b.profile == "" {
		return nil
	}
	return b.saveProfile(ctx, s, "/debug/pprof/heap?gc=1", "heap.pprof")
}

func (b *bench) saveProfile(ctx context.Context, s *server, path, name string) error {
	profile, err := s.get(ctx, path)
	if err != nil {
		return fmt.Errorf("profile the server: %w", err)
	}
	if err := os.MkdirAll(b.profile, 0o755); err != nil {
		return fmt.Errorf("keep the profile: %w", err)
	}
	if err := os.WriteFile(filepath.Join(b.profile, name), profile, 0o644); err != nil {
		return fmt.Errorf("keep the profile: %w", err)
	}
	return nil
}
