package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv names the directory that the test binary is to have cleaned up once it is killed; see TestMain.
const helperEnv = "MINILB_DAEMON_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(helperEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	d := &Daemon{Name: "sleep", Path: "/bin/sleep", Args: []string{"600"}, Log: filepath.Join(dir, "log")}
	_, err := StartJanitor(sweep, dir)
	if err := errors.Join(err, NewSpawner().Start(d, func(error) {})); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(d.PID())
	select {}
}

const sweep = `rm -r -- "$1"`

// A process that is killed leaves neither its children nor its directory.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's $HOME")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(output).ReadString('\n')
	var pid int
	_, err = fmt.Sscan(line, &pid)
	if err := errors.Join(readErr, err, cmd.Process.Kill()); err != nil {
		t.Fatalf("the helper printed %q: %v", line, err)
	}
	_ = cmd.Wait()
	left := func() bool {
		_, err := os.Stat(dir)
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // its new parent may not have noticed that it has ended
		alive := syscall.Kill(pid, 0) == nil && !strings.Contains(string(stat), ") Z ")
		return !errors.Is(err, fs.ErrNotExist) || runtime.GOOS == "linux" && alive
	}
	for end := time.Now().Add(time.Minute); left(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its directory or its child is still there")
		}
	}
}

// One that is told to stop cleans up before it returns, and what goes wrong is an error.
func TestJanitorStops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	for _, exists := range []bool{true, false} {
		if exists {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		j, err := StartJanitor(sweep+" 2>&-", dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Stop(); (err == nil) != exists {
			t.Errorf("with a directory %v: %v", exists, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory is there: %v", err)
		}
	}
}
