package pods

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starling/deploy/test/chart"
)

// imageVariable names the archive that packaging/dist made.
const imageVariable = "STARLING_IMAGE"

// podman runs containers in storage of its own.
type podman struct {
	dir   string
	image string // its name after loading
}

// engine is the podman of all tests of this process, nil if there is none.
var engine *podman

// missing is why engine is nil.
var missing error

func TestMain(m *testing.M) {
	engine, missing = newPodman()
	defer func() {
		if engine != nil {
			os.RemoveAll(engine.dir)
		}
	}()
	chart.Main(m)
}

// newPodman loads the image, or returns what is missing for that.
func newPodman() (*podman, error) {
	archive := os.Getenv(imageVariable)
	if archive == "" {
		return nil, errors.New("$" + imageVariable + " names no image of packaging/dist; .ci/kubernetes makes one")
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root")
	}
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "starling-pods")
	if err != nil {
		return nil, err
	}
	p := &podman{dir: dir}
	if err := os.Chmod(dir, 0o755); err != nil { // the pods' user reads the volumes below
		return nil, err
	}
	out, err := p.run("load", "--quiet", "--input", archive)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	_, p.image, _ = strings.Cut(strings.TrimSpace(out), ": ")
	return p, nil
}

// run runs podman and returns what it prints.
func (p *podman) run(args ...string) (string, error) {
	all := append([]string{
		"--root", filepath.Join(p.dir, "storage"), "--runroot", filepath.Join(p.dir, "run"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--runtime", "runc", "--log-level", "error",
	}, args...)
	c := exec.Command("podman", all...)
	var out, problems bytes.Buffer
	c.Stdout, c.Stderr = &out, &problems
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("podman %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}

// logs are both streams of a container.
func (p *podman) logs(container string) string {
	c := exec.Command("podman", "--root", filepath.Join(p.dir, "storage"), "--runroot", filepath.Join(p.dir, "run"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "logs", container)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return string(out)
}
