// Command coredns is CoreDNS with plugin minilb and the plugins that a LAN's resolver needs, without those of
// clouds and of in-cluster DNS.
package main

import (
	"fmt"
	"os"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/coremain"

	"github.com/minilb/minilb/plugin/minilb/version"
)

func main() {
	if err := setDirectives(); err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		os.Exit(1)
	}
	caddy.AppName = coremain.CoreName
	build := version.Current()
	caddy.AppVersion = coremain.CoreVersion + " with minilb " + build.Version
	coremain.GitCommit = build.Revision
	coremain.Run()
}
