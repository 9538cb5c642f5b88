package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/minilb/minilb/test/cluster"
)

// builtKubectl is the directory of the kubectl of test/tools/kubectl. It is compiled as the control
// plane is, so that what the two have in common is compiled once.
var builtKubectl = sync.OnceValues(func() (string, error) {
	dir, err := lastingDir()
	if err != nil {
		return "", err
	}
	return dir, cluster.BuildNested(context.Background(), "test/tools/kubectl", filepath.Join(dir, "kubectl"))
})

// withKubectl lets a command find kubectl: the one that is installed, else one that is built.
func withKubectl(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if _, err := exec.LookPath("kubectl"); err == nil {
		return
	}
	dir, err := builtKubectl()
	must(t, err)
	cmd.Env = append(cmd.Env, "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}
