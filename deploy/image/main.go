// Command image builds the container images of minilb without a container daemon: from nothing but
// Go it compiles the two programs for each platform, and puts them with the certificates, licences
// and bill of materials that belong to them into an OCI layout, an archive, a registry or a
// directory. The same commit, Go and flags give the same bytes, wherever and whenever it is done.
//
// It is a module of its own, so that an importer of the plugin never sees what it takes:
//
//	cd deploy/image && go run . -layout /tmp/minilb
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// options are what the command line says.
type options struct {
	source    string // directory of the repository
	platforms []v1.Platform
	layout    string
	tarball   string
	rootfs    string
	push      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	var opts options
	var platforms string
	tree := &tree{}
	flag.StringVar(&opts.source, "source", "../..", "`directory` of the repository")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,linux/arm/v7", "`list` of platforms, separated by commas")
	flag.StringVar(&opts.layout, "layout", "", "write an OCI layout to this new `directory`")
	flag.StringVar(&opts.tarball, "tarball", "", "write an archive for \"docker load\" and \"ctr images import\" to\nthis `file`; of one platform")
	flag.StringVar(&opts.rootfs, "rootfs", "", "write an image's files below this `directory`; of one platform")
	flag.StringVar(&opts.push, "push", "", "push the images coredns and minilb to this `repository`,\nwith the credentials of \"docker login\"")
	flag.StringVar(&tree.version, "version", "", "`version` to link and to tag (default what git describes)")
	flag.StringVar(&tree.revision, "revision", "", "`commit` to link and to label (default git's)")
	flag.Usage = func() {
		out := flag.CommandLine.Output()
		fmt.Fprintf(out, "Builds the container images of minilb without a container daemon.\n\nUsage:\n  go run . [flags]\n\n")
		flag.PrintDefaults()
		fmt.Fprintf(out, "\nExample:\n  go run . -push ghcr.io/minilb -version v0.1.0\n")
	}
	flag.Parse()
	err := func() (err error) {
		if flag.NArg() > 0 {
			return fmt.Errorf("unexpected argument %q (see -h)", flag.Arg(0))
		}
		if opts.platforms, err = parsePlatforms(platforms); err != nil {
			return err
		}
		return run(ctx, opts, tree)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run builds what the options ask for, and prints the digest of each image.
func run(ctx context.Context, opts options, tree *tree) error {
	if opts.layout+opts.tarball+opts.rootfs+opts.push == "" {
		return errors.New("nothing to do: say -layout, -tarball, -rootfs or -push (see -h)")
	}
	if len(opts.platforms) > 1 && opts.tarball+opts.rootfs != "" {
		return errors.New("-tarball and -rootfs are of one platform: say which with -platforms")
	}
	if err := tree.read(ctx, opts.source); err != nil {
		return err
	}
	var variants []variant
	for _, platform := range opts.platforms {
		files, licences, err := tree.files(ctx, platform)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		variants = append(variants, variant{platform, files, licences})
	}
	if opts.rootfs != "" {
		if err := writeFiles(opts.rootfs, variants[0].files); err != nil {
			return err
		}
	}
	if opts.layout+opts.tarball+opts.push == "" {
		return nil
	}
	images, err := tree.images(variants)
	if err != nil {
		return err
	}
	return deliver(ctx, opts, images)
}

// parsePlatforms reads a list such as "linux/amd64,linux/arm/v7".
func parsePlatforms(list string) ([]v1.Platform, error) {
	var all []v1.Platform
	for name := range strings.SplitSeq(list, ",") {
		platform, err := v1.ParsePlatform(name)
		if err != nil || platform.OS == "" || platform.Architecture == "" {
			return nil, fmt.Errorf("-platforms: %q is none; want one like linux/amd64 or linux/arm/v7", name)
		}
		all = append(all, *platform)
	}
	return all, nil
}
