package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"first, and longer", "second"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
	if err := WriteFile(filepath.Join(path, "below", "a file"), nil); err == nil {
		t.Error("a file below a file was written")
	}
}

func TestOneProcessHasAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	first, err := LockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFile(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
