package cluster

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const helperPorts = 100 // that a helper chooses at once

// TestFreePortsOfProcesses has several processes choose ports, of which none opens its own: no port is
// chosen twice.
func TestFreePortsOfProcesses(t *testing.T) {
	const processes = 5 // two of which choose a port in common nearly always, unless they know of each other
	by := map[int]int{}
	for n := range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperEnv+"=ports")
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		must(t, err)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() {
			stdin.Close()
			must(t, cmd.Wait())
		})
		line, err := bufio.NewReader(stdout).ReadString('\n')
		must(t, err)
		ports := strings.Fields(strings.Trim(line, "[]\n"))
		if len(ports) != helperPorts {
			t.Fatalf("process %d chose %d ports, want %d: %s", n, len(ports), helperPorts, line)
		}
		for _, text := range ports {
			port, err := strconv.Atoi(text)
			must(t, err)
			if first, taken := by[port]; taken {
				t.Errorf("port %d was chosen by processes %d and %d", port, first, n)
			}
			by[port] = n
		}
	}
}

// helpPorts chooses ports, prints them, and holds them until its input ends.
func helpPorts() int {
	ports, err := FreePorts(helperPorts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(ports)
	bufio.NewReader(os.Stdin).ReadByte()
	return 0
}
