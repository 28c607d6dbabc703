package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/lib/testkit"
)

// TestStories tells each story of testdata.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			if testkit.Race && strings.Contains(file, "hundred") {
				t.Skip("half a minute under the race detector, which has little to find in one goroutine")
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w, err := Tell(string(text))
			if err == nil {
				return
			}
			t.Errorf("%s: %v", file, err)
			for _, line := range w.Log {
				t.Log(line)
			}
		})
	}
}

func TestMistypedStories(t *testing.T) {
	for _, text := range []string{"hosts", "hosts x", "hosts 1\nat 3 get x", "hosts 1\nat 0 sing", "agree", "agree within", "fly"} {
		if _, err := Tell(text); err == nil {
			t.Errorf("%q is told without an error", text)
		}
	}
}

// TestADisturbedCluster: each way to disturb a cluster is found.
func TestADisturbedCluster(t *testing.T) {
	const reloads = "ready within 2s\nreload 0 without kv\nreload 0 with all\nready within 2s\nwait 1s\n"
	for _, test := range []struct{ story, want string }{
		{"hosts 3\n" + reloads, ""},
		{"hosts 3\n" + reloads + "cut 0-1\nwait 5s\n", "of 6 connections 6 stand, after 8 dials"},
		{"hosts 3\n" + reloads + "crash 2\nwait 5s\n", "of 6 connections 2 stand"},
		{"hosts 3\nclock 2 +1h\n" + reloads, "hosts logged"},
	} {
		_, err := Tell(test.story + "undisturbed")
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q: %v, want %q", test.story, err, test.want)
		}
	}
}
