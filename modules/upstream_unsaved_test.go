package modules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/web/webtest"
)

// TestASharedStateIsTriedAgain: what a peer changes while the file cannot be written is in it soon after it can, without
// another change, and is told as unsaved until then. It passes virtual time.
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
		testkit.Eventually(t, time.Minute, func() error { _, err := os.Stat(file); return err }) // its start writes it
		if err := os.Rename(folder, folder+".away"); err != nil {
			t.Fatal(err)
		}
		peerOf(s)(t, "127.0.0.3:1", `{"upstream":"u","server":"127.0.0.3:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.3:1"}}`)
		unsavedComesTo(t, s, 5*time.Second, file)
		if err := os.Rename(folder+".away", folder); err != nil {
			t.Fatal(err)
		}
		unsavedComesTo(t, s, 15*time.Second)
		if got := content(t, file); !strings.Contains(got, "server 127.0.0.3:1;\n") {
			t.Errorf("the file has %q", got)
		}
	})
}

// unsavedComesTo waits until these files, and no others, are told as unsaved.
func unsavedComesTo(t *testing.T, s *webtest.Server, limit time.Duration, want ...string) {
	t.Helper()
	testkit.Eventually(t, limit, func() error {
		var got []string
		for _, f := range s.Plan.UnsavedFiles() {
			got = append(got, f.Path)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%q are unsaved, want %q", got, want)
		}
		return nil
	})
}
