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
	printTimeout = 30 * time.Second // of one attempt to read nodes and pods
	// printRetry is the pause after an attempt that failed, and printDeniedRetry after more than printDenials in a row that were
	// forbidden, which is logged then: an API server that has just started forbids what it allows once it has read its roles.
	printRetry, printDeniedRetry = time.Second, time.Minute
	printDenials                 = 6
)

// printRoutes prints the static routes as soon as nodes can be read, once (R1, R2), and warns
// of pods that they do not reach (R3).
func (c *Controller) printRoutes(ctx context.Context) {
	for denials, logged := 0, false; ; {
		err := c.tryPrintRoutes(ctx)
		if err == nil {
			return
		}
		// Other failures are logged by the watch of Services.
		c.log.Debug("routes not printed yet", "err", err)
		pause := printRetry
		if failure, is := errors.AsType[*kube.Error](err); !is || failure.Kind != kube.Forbidden {
			denials = 0
		} else if denials++; denials > printDenials {
			pause = printDeniedRetry
			if !logged {
				logged = true
				c.log.Warn("routes not printed: " + failure.Text)
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// locate returns the LAN with the addresses of the API server, as far as they are known.
func (c *Controller) locate(ctx context.Context) routes.LAN {
	lan, err := c.options.LAN.Locate(ctx, c.client)
	if err != nil {
		c.log.Debug(err.Error())
	}
	return lan
}

func (c *Controller) tryPrintRoutes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, printTimeout)
	defer cancel()
	nodes, err := routes.ListNodes(ctx, c.client)
	if err != nil {
		return err
	}
	pods, unseen := routes.ReadPods(ctx, c.client, nodes)
	if unseen != nil {
		c.log.Debug(unseen.Error())
	}
	found, err := c.networks.Read(ctx, c.options.LAN.Provider)
	if err != nil {
		return err
	}
	lan, nodes, choice := c.locate(ctx).Assign(nodes, found, pods)
	if unseen != nil && !choice.Alone {
		return unseen // which tells among several
	}
	lines := routes.IP(lan.FromNodes(nodes))
	if _, err := io.WriteString(c.out, "Add the following routes to your default gateway (router):\n"+lines); err != nil {
		return fmt.Errorf("print routes: %w", err)
	}
	c.log.Info(choice.String())
	for _, malformed := range choice.Malformed {
		c.log.Warn(malformed.String())
	}
	for _, node := range lan.Pods(nodes).Outside(pods) {
		c.log.Warn(node.String(), "hint", routes.OutsideHint(choice))
	}
	return nil
}
