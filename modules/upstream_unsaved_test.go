package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestASharedStateIsTriedAgain: what a peer changes while the file cannot be written is in it soon after it can, without
// another change, and is told as unsaved until then.
func TestASharedStateIsTriedAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(folder, "u.conf")
		s, err := loadState(t, file, "upstream u { zone u 64k sync; state STATE; }")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // what it writes at its start is written
		if err := os.Rename(folder, folder+".away"); err != nil {
			t.Fatal(err)
		}
		peerOf(s)(t, "127.0.0.3:1", `{"upstream":"u","server":"127.0.0.3:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.3:1"}}`)
		time.Sleep(5 * time.Second)
		if got := s.Plan.UnsavedFiles(); len(got) != 1 || got[0].Path != file {
			t.Errorf("while the file cannot be written: %v", got)
		}
		if err := os.Rename(folder+".away", folder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if got := content(t, file); !strings.Contains(got, "server 127.0.0.3:1;\n") {
			t.Errorf("the file has %q", got)
		}
		if got := s.Plan.UnsavedFiles(); len(got) != 0 {
			t.Errorf("when it is written: %v", got)
		}
	})
}
