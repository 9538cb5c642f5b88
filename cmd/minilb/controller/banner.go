package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

const (
	// bannerTimeout is how long one attempt to read nodes and pods may take.
	bannerTimeout = 30 * time.Second
	// bannerRetry is the pause after an attempt that failed. While we are forbidden to read nodes it is
	// half of the time that has lasted, and bannerPatience at most: an API server that has just started
	// forbids what it allows once it has read its roles.
	bannerRetry, bannerPatience = time.Second, time.Minute
	// bannerDenied is how long we are forbidden to read nodes until that is told.
	bannerDenied = 5 * time.Second
)

// printRoutes prints the static routes as soon as nodes can be read, once (R1, R2), and warns
// of pods that they do not reach (R3). Nothing else waits for it.
func (c *Controller) printRoutes(ctx context.Context) {
	var denied time.Time // since when we are forbidden, zero for not
	for told := false; ; {
		err := c.tryPrintRoutes(ctx)
		if err == nil {
			return
		}
		// Of any other trouble the watch of Services tells, too.
		c.log.Debug("routes not printed yet", "err", err)
		pause := bannerRetry
		trouble, known := errors.AsType[*kube.Failure](err)
		switch {
		case !known || trouble.Kind != kube.Forbidden:
			denied = time.Time{}
		case denied.IsZero():
			denied = time.Now()
		default:
			lasting := time.Since(denied)
			pause = min(max(bannerRetry, lasting/2), bannerPatience)
			if lasting >= bannerDenied && !told {
				told = true
				c.log.Warn("routes not printed: " + trouble.Text)
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (c *Controller) tryPrintRoutes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bannerTimeout)
	defer cancel()
	nodes, err := routes.Nodes(ctx, c.client)
	if err != nil {
		return err
	}
	lan, err := c.options.LAN.Locate(ctx, c.client)
	if err != nil {
		c.log.Debug(err.Error())
	}
	lines := routes.IP(lan.FromNodes(nodes), routes.Add)
	if _, err := io.WriteString(c.out, "Add the following routes to your default gateway (router):\n"+lines); err != nil {
		return fmt.Errorf("print routes: %w", err)
	}
	outside, err := lan.PodsOutside(ctx, c.client, nodes)
	if err != nil {
		c.log.Debug(err.Error())
	}
	for _, node := range outside {
		c.log.Warn(node.String(), "hint", routes.PodCIDRHint)
	}
	return nil
}
