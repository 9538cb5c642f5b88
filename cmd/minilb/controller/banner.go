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
	// bannerRetry is the pause after an attempt that failed, bannerPatience the one after we
	// were told bannerDenials times that we may not: an API server that has just started forbids
	// for a moment what it allows once it has read its roles.
	bannerRetry, bannerPatience = time.Second, time.Minute
	bannerDenials               = 3
)

// printRoutes prints the static routes as soon as nodes can be read, once (R1, R2), and warns
// of pods that they do not reach (R3). Nothing else waits for it.
func (c *Controller) printRoutes(ctx context.Context) {
	for denials := 0; ; {
		err := c.tryPrintRoutes(ctx)
		if err == nil {
			return
		}
		// Of any other trouble the watch of Services tells, too.
		c.log.Debug("routes not printed yet", "err", err)
		pause := bannerRetry
		if trouble, ok := errors.AsType[*kube.Failure](err); ok && trouble.Kind == kube.Forbidden {
			denials++
			if denials >= bannerDenials {
				pause = bannerPatience
			}
			if denials == bannerDenials {
				c.log.Warn("routes not printed: " + trouble.Text)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
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
	lines := routes.IP(routes.Of(nodes), routes.Add)
	if _, err := io.WriteString(c.out, "Add the following routes to your default gateway (router):\n"+lines); err != nil {
		return fmt.Errorf("print routes: %w", err)
	}
	strays, err := routes.Strays(ctx, c.client, nodes)
	if err != nil {
		c.log.Debug(err.Error())
	}
	for _, stray := range strays {
		c.log.Warn(stray.String(), "hint", routes.StrayHint)
	}
	return nil
}
