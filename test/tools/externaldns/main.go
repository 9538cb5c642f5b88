// Command externaldns is external-dns for BIND: its flags, sources, registry and provider, put
// together as its own command does, once each interval.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/plan"
	"sigs.k8s.io/external-dns/provider/rfc2136"
	"sigs.k8s.io/external-dns/registry"
	"sigs.k8s.io/external-dns/registry/txt"
	"sigs.k8s.io/external-dns/source"
	"sigs.k8s.io/external-dns/source/wrappers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cfg := externaldns.NewConfig()
	if err := cfg.ParseFlags(args); err != nil {
		return err
	}
	if cfg.Provider != "rfc2136" || cfg.Registry != "txt" {
		return fmt.Errorf("provider %q and registry %q are not built in", cfg.Provider, cfg.Registry)
	}
	sources, err := translator.NewSourceConfig(cfg)
	if err != nil {
		return err
	}
	src, err := wrappers.Build(ctx, sources)
	if err != nil {
		return err
	}
	filter := endpoint.NewDomainFilter(cfg.DomainFilter)
	provider, err := rfc2136.New(ctx, cfg, filter)
	if err != nil {
		return err
	}
	reg, err := txt.New(cfg, provider)
	if err != nil {
		return err
	}
	for {
		if err := synchronize(ctx, cfg, src, reg, filter); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cfg.Interval):
		}
	}
}

// synchronize is what external-dns does in each interval.
func synchronize(ctx context.Context, cfg *externaldns.Config, src translator.Source, reg registry.Registry, filter *endpoint.DomainFilter) error {
	current, err := reg.Records(ctx)
	if err != nil {
		return err
	}
	wanted, err := src.Endpoints(ctx)
	if err != nil {
		return err
	}
	if wanted, err = reg.AdjustEndpoints(wanted); err != nil {
		return err
	}
	p := &plan.Plan{
		Policies:       []plan.Policy{plan.Policies[cfg.Policy]},
		Current:        current,
		Desired:        wanted,
		DomainFilter:   endpoint.MatchAllDomainFilters{filter, reg.GetDomainFilter()},
		ManagedRecords: cfg.ManagedDNSRecordTypes,
		ExcludeRecords: cfg.ExcludeDNSRecordTypes,
		OwnerID:        reg.OwnerID(),
	}
	if p = p.Calculate(); !p.Changes.HasChanges() {
		return nil
	}
	return reg.ApplyChanges(ctx, p.Changes)
}
