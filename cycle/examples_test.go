package cycle_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"starling/cycle"
	"starling/lib/certs"
	"starling/logs"
	"starling/modules/shared/geoip2/geoip2test"
)

// TestEveryExampleStarts builds the configuration in each doc.md and each folder of examples, with the files that these
// name.
func TestEveryExampleStarts(t *testing.T) {
	dir := t.TempDir()
	exampleFiles(t, dir)
	docs, err := filepath.Glob("../modules/*/*/doc.md")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	folders, err := filepath.Glob("../examples/*/README.md")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	installed := strings.NewReplacer("/etc/starling/", dir+"/", "/var/lib/starling/", dir+"/state/",
		"/var/log/starling/", dir+"/state/", "/var/cache/starling/", dir+"/state/")
	for _, page := range folders {
		folder := filepath.Dir(page)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(folder, "nginx.conf"))
			if err != nil {
				t.Fatal(err)
			}
			exampleStarts(t, dir, []byte(installed.Replace(string(text))))
		})
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
			exampleStarts(t, dir, example[1])
		})
	}
}

func exampleStarts(t *testing.T, dir string, text []byte) {
	t.Helper()
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	o := cycle.Options{Prefix: dir + "/", ConfPath: path, ErrorLog: filepath.Join(dir, "error.log"), FS: os.DirFS("/")}
	if _, err := cycle.NewHost(o, logs.NewFiles("starling")).Test(); err != nil {
		t.Error(err)
	}
}

// exampleFiles makes what the examples expect of an installation.
func exampleFiles(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"logs", "html", "state", "certs"} {
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
	for name, text := range map[string][]byte{
		"example.com.crt": cert, "example.com.key": key, "ca.crt": ca.PEM, "htpasswd": []byte("a:{PLAIN}b\n"),
		"GeoLite2-Country.mmdb": geoip2test.Database(nil),
		"certs/node.crt":        cert, "certs/node.key": key, "certs/ca.crt": ca.PEM,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
