package process

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOneUpgradeAtATime: a second command does not take the place of the first one's request, nor its result.
func TestOneUpgradeAtATime(t *testing.T) {
	dir := t.TempDir()
	pid := filepath.Join(dir, "n.pid")
	for name, text := range map[string]string{"n.conf": "pid n.pid; events { }", "n.pid": strconv.Itoa(os.Getpid())} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = requestUpgrade(io.Discard, flags{prefix: dir + "/", conf: "n.conf"}, request{WaitSeconds: 1})
	if err == nil || !strings.Contains(err.Error(), `another "starling upgrade" is under way`) {
		t.Errorf("a second command: %v", err)
	}
	if _, err := os.Stat(pid + requestSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a request: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = lockFolder(dir); err != nil {
		t.Fatalf("after the first one has ended: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}
