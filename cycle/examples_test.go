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

// snippet is a piece of configuration in a page.
var snippet = regexp.MustCompile("(?s)```nginx\n(.*?)```")

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
	for _, doc := range docs {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(doc)))+"_"+filepath.Base(filepath.Dir(doc)), func(t *testing.T) {
			text, err := os.ReadFile(doc)
			if err != nil {
				t.Fatal(err)
			}
			example := snippet.FindSubmatch(text)
			if example == nil {
				t.Fatalf("%s has no example", doc)
			}
			exampleStarts(t, dir, example[1])
		})
	}
}

// TestEverySnippetStarts builds the snippets in the pages of docs. They are whole configurations, or for the http block,
// or for a server in it.
func TestEverySnippetStarts(t *testing.T) {
	dir := t.TempDir()
	exampleFiles(t, dir)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	installed := strings.NewReplacer("/var/lib/starling/", dir+"/state/", "/var/cache/starling", dir+"/state/cache",
		"/dev/stderr", dir+"/logs/error.log", "/dev/stdout", dir+"/logs/access.log")
	tested := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range snippet.FindAllSubmatch(text, -1) {
			tested++
			t.Run(filepath.Base(page), func(t *testing.T) {
				whole := installed.Replace(string(found[1]))
				switch {
				case strings.HasPrefix(whole, "location "):
					whole = "events {}\nhttp {\nserver {\n" + whole + "}\n}\n"
				case !strings.Contains(whole, "http "):
					whole = "events {}\nhttp {\n" + whole + "}\n"
				case !strings.Contains(whole, "events "):
					whole = "events {}\n" + whole
				}
				if strings.Contains(whole, "strict_fallback") && !strings.Contains(whole, "stream ") {
					whole += "stream { server { listen 9000; zone_sync; zone_sync_strict_state strict.state; zone_sync_server 10.0.0.1:9000; } }"
				}
				exampleStarts(t, dir, []byte(whole))
			})
		}
	}
	if tested < 8 {
		t.Errorf("only %d snippets: have the pages changed their form?", tested)
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
