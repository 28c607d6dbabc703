package cycle_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"starling/cycle"
	"starling/lib/certs"
	"starling/logs"
)

// TestEveryExampleStarts builds the configuration in each doc.md, with the files that examples name.
func TestEveryExampleStarts(t *testing.T) {
	dir := t.TempDir()
	exampleFiles(t, dir)
	docs, err := filepath.Glob("../modules/*/*/doc.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```")
	for _, doc := range docs {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(doc)))+"_"+filepath.Base(filepath.Dir(doc)), func(t *testing.T) {
			text, err := os.ReadFile(doc)
			if err != nil {
				t.Fatal(err)
			}
			example := block.FindSubmatch(text)
			if example == nil {
				t.Fatalf("%s has no example", doc)
			}
			path := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(path, example[1], 0o600); err != nil {
				t.Fatal(err)
			}
			o := cycle.Options{Prefix: dir + "/", ConfPath: path, ErrorLog: filepath.Join(dir, "error.log"), FS: os.DirFS("/")}
			if _, err := cycle.NewHost(o, logs.NewFiles("starling")).Test(); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
		})
	}
}

// exampleFiles makes what the examples expect of an installation.
func exampleFiles(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"logs", "html", "state"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := certs.NewAuthority("examples")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"example.com.crt": cert, "example.com.key": key, "ca.crt": ca.PEM, "htpasswd": []byte("a:{PLAIN}b\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
