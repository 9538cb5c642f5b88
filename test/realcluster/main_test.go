//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/realcluster"
)

// version is the tag that deploy/ asks for.
const version = "v0.1.0"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if _, cannot := unable(); !cannot {
		// Before the machine is this package's alone: the first time it takes minutes. The lab reports what fails.
		_, _ = cluster.NodeBinaries(context.Background())
	}
	code := harness.RunTestsAlone(m)
	if shared.lab != nil {
		if err := errors.Join(shared.upstream.stop(), shared.lab.Stop()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// shared is the cluster of all tests, which have it one after the other.
var shared struct {
	sync.Once
	lab      *realcluster.Lab
	upstream *upstream
	err      error
}

// theLab returns the cluster, which the first test to need it starts.
func theLab(t *testing.T) *realcluster.Lab {
	t.Helper()
	needNodes(t)
	shared.Do(func() {
		if shared.lab, shared.err = startLab(realcluster.Options{Nodes: 3}); shared.err == nil {
			shared.upstream, shared.err = startUpstream(t.Context(), shared.lab.Router, "9.9.9.9", "149.112.112.112") // of the shipped Corefiles
		}
	})
	if shared.err != nil {
		if denied := (*netns.DeniedError)(nil); errors.As(shared.err, &denied) {
			t.Skip(denied)
		}
		t.Fatalf("start the cluster: %v", shared.err)
	}
	return shared.lab
}

// needNodes skips a test where no real nodes can run.
func needNodes(t *testing.T) {
	t.Helper()
	if reason, cannot := unable(); cannot {
		if os.Getenv("MINILB_REQUIRE_PROGRAMS") != "" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}

// images are the archives that nodes import.
var images = sync.OnceValues(func() ([]string, error) {
	dir, err := harness.LastingDir()
	if err != nil {
		return nil, err
	}
	return realcluster.BuildImages(context.Background(), dir, version)
})

// startLab starts a cluster with our images.
func startLab(options realcluster.Options) (lab *realcluster.Lab, err error) {
	began := time.Now()
	if options.Images, err = images(); err != nil {
		return nil, err
	}
	built := time.Now()
	if lab, err = realcluster.Start(context.Background(), options); err == nil {
		fmt.Fprintf(os.Stderr, "images in %v, %d Ready nodes in %v\n", built.Sub(began).Round(time.Second), options.Nodes, time.Since(built).Round(time.Second))
	}
	return lab, err
}

// unable returns why real nodes cannot run here, if they cannot.
func unable() (reason string, cannot bool) {
	if os.Geteuid() != 0 {
		return "real nodes need root", true
	}
	for _, path := range []string{"/run", "/sys/fs/cgroup"} {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return fmt.Sprintf("real nodes write to %s: %v", path, err), true
		}
	}
	// Cgroups of version 2 have limits if the first one has these controllers on, as runc does, which fails in a container
	// whose processes are in that cgroup.
	const controllers = "/sys/fs/cgroup/cgroup.subtree_control"
	if _, err := os.Stat(controllers); err == nil {
		if err := os.WriteFile(controllers, []byte("+cpu +memory"), 0); err != nil {
			return fmt.Sprintf("containers of real nodes have limits, which cannot be set here: %v", err), true
		}
	}
	for program, debianPackage := range map[string]string{
		"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack", "nsenter": "util-linux",
		"cc": "gcc", "pkg-config": "pkg-config", // which runc is built with
	} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("%s is not installed: apt-get install %s", program, debianPackage), true
		}
	}
	if err := exec.Command("pkg-config", "--exists", "libseccomp").Run(); err != nil {
		return "runc cannot be built: apt-get install libseccomp-dev", true
	}
	return "", false
}
