package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// helperEnv makes the test binary play another program; see TestMain.
const helperEnv = "MINILB_CLUSTER_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "cluster":
		os.Exit(helpCluster())
	case "store":
		os.Exit(helpStore())
	case "ports":
		os.Exit(helpPorts())
	}
	os.Exit(m.Run())
}

// helpCluster starts a cluster, prints its directory and the ids of its
// processes, and waits to be killed.
func helpCluster() int {
	c, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.Dir, c.etcd.pid, c.apiServer.pid, c.controllerManager.pid, c.janitor.PID())
	select {}
}

func testOutage(t *testing.T, c *Cluster) {
	ctx := t.Context()
	must(t, c.Apply(ctx, `{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}}`))
	must(t, c.StopAPIServer())
	if err := c.healthy(c.URL + "/readyz")(ctx); err == nil {
		t.Error("the stopped API server answers")
	}
	must(t, c.StartAPIServer(ctx))
	if _, err := c.Client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	// The controllers outlive the outage, too.
	must(t, c.Node(ctx, "late"))
	if _, err := c.NodePodCIDRs(ctx, "late"); err != nil {
		t.Error(err)
	}
}

func testStop(t *testing.T, c *Cluster) {
	pids := []int{c.etcd.pid, c.apiServer.pid, c.controllerManager.pid, c.janitor.PID()}
	must(t, c.Stop())
	must(t, c.Stop())
	if err := gone(c.Dir, pids...); err != nil {
		t.Error(err)
	}
}

// TestKilled kills a program that runs a cluster.
func TestKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("children die with their parent on Linux alone")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=cluster")
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, readErr := bufio.NewReader(output).ReadString('\n')
	must(t, errors.Join(readErr, cmd.Process.Kill()))
	_ = cmd.Wait()

	var dir string
	pids := make([]int, 4)
	if _, err := fmt.Sscan(line, &dir, &pids[0], &pids[1], &pids[2], &pids[3]); err != nil {
		t.Fatalf("the program printed %q: %v", line, err)
	}
	Eventually(t, patience, func() error { return gone(dir, pids...) })
}

// gone reports what is left of a cluster.
func gone(dir string, pids ...int) error {
	var errs []error
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("directory %s is there", dir))
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !zombie(pid) {
			errs = append(errs, fmt.Errorf("process %d is there", pid))
		}
	}
	return errors.Join(errs...)
}

// zombie reports whether a process has ended and only its new parent has not
// noticed, which in a container may be never.
func zombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// TestDeaths lets a node die, and then a component of the control plane.
func TestDeaths(t *testing.T) {
	t.Parallel()
	c, err := Start(t.Context(), Options{
		NodeLifecycle: true,
		ControllerManagerFlags: []string{
			"--node-monitor-period=200ms", "--node-monitor-grace-period=1s", "--node-startup-grace-period=1s",
		},
	})
	must(t, err)
	t.Cleanup(func() { _ = c.Stop() })
	t.Run("node", func(t *testing.T) { testNodeDies(t, c) })
	t.Run("component", func(t *testing.T) { testComponentDies(t, c) })
}

func testNodeDies(t *testing.T, c *Cluster) {
	ctx := t.Context()
	must(t, c.Node(ctx, "dying"))
	must(t, c.Pod(ctx, PodSpec{Name: "web", Node: "dying", IPs: []string{"10.244.0.1"}}))
	Eventually(t, patience, func() error {
		pod, err := c.Client.CoreV1().Pods("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "False" {
				return nil
			}
		}
		return fmt.Errorf("the pod's conditions are %v", pod.Status.Conditions)
	})
	must(t, c.SetNodeReady(ctx, "dying", true))
}

// testComponentDies checks that a component that ends during a test is reported when that stops.
func testComponentDies(t *testing.T, c *Cluster) {
	must(t, syscall.Kill(c.controllerManager.pid, syscall.SIGKILL))
	<-c.controllerManager.exited
	if err := c.Stop(); err == nil || !strings.Contains(err.Error(), "kube-controller-manager ended by itself: signal: killed") {
		t.Errorf("stop: %v, want the controller-manager's end", err)
	}
	must(t, gone(c.Dir))
}

// TestCannotRun checks that a component that cannot run is reported with what it logged.
func TestCannotRun(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, err := Start(t.Context(), Options{APIServerFlags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("start with an unknown flag: %v, want the flag named", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("that took %v", took)
	}
}

// TestPortTaken checks that a lost race for a port is known as one.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	must(t, err)
	if _, err := Start(t.Context(), Options{APIServerFlags: []string{"--secure-port=" + port}}); !errors.Is(err, errPortTaken) {
		t.Errorf("start on a taken port: %v", err)
	}
}
