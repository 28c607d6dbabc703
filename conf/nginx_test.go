package conf_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"starling/conf"
)

// nginxSays runs the real nginx on a configuration and returns its first message, or "ok".
func nginxSays(t *testing.T, dir string) string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed: nothing to compare with")
	}
	out, _ := exec.Command(nginx, "-t", "-p", dir, "-c", dir+"/x.conf", "-e", dir+"/error.log").CombinedOutput()
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("syntax is ok")) {
			return "ok"
		}
	}
	_, after, found := strings.Cut(string(out), "nginx: [emerg] ")
	if !found {
		t.Fatalf("nginx says neither ok nor what is wrong: %s", out)
	}
	message, _, _ := strings.Cut(after, "\nnginx: ")
	return strings.ReplaceAll(message, dir+"/", "")
}

// starlingSays does the same with Parse and Bind.
func starlingSays(t *testing.T, dir string) string {
	t.Helper()
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(os.DirFS("/"), dir+"/x.conf")
	if err := binder.Bind(tree, nil).Err(); err != nil {
		return strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	return "ok"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreThoseOfNginx(t *testing.T) {
	dir := t.TempDir()
	for _, e := range examples(t) {
		if strings.HasSuffix(e.name, "(own)") {
			continue
		}
		write(t, filepath.Join(dir, "x.conf"), e.text)
		got := nginxSays(t, dir)
		if e.want == "ok" {
			got = strings.Replace(got, `no "events" section in configuration`, "ok", 1)
			if strings.HasPrefix(got, `zero size`) {
				got = "ok"
			}
		}
		if got != e.want {
			t.Errorf("%s:\nnginx says %s\nwanted     %s", e.name, got, e.want)
		}
	}
}

// fragments are what the soup is made of: all that the lexer treats apart, and some directives.
var fragments = []string{"a", "b c", `"`, `'`, `\`, "$", "{", "}", ";", " ", "\n", "#", "${", ")", "\t", `\n`, `\\`, `\"`, "\r\n",
	"http {", "events {}", "server {", "types {", "limit_req ", "limit_req_dry_run ", "include ", ";\n", "}\n", " x", "=", "é",
	strings.Repeat("y", 500), strings.Repeat("z", 4000)}

func soup(r *rand.Rand) string {
	var text strings.Builder
	if r.IntN(2) == 0 {
		text.WriteString("http {\n")
	}
	for range 1 + r.IntN(25) {
		text.WriteString(fragments[r.IntN(len(fragments))])
	}
	return text.String()
}

// TestSoupIsReadAsByNginx compares the first message for random bytes. Words come back in the messages
// (unknown directive, invalid parameter), so that quotes and escapes are compared too.
func TestSoupIsReadAsByNginx(t *testing.T) {
	dir := t.TempDir()
	const seed = 1
	for i := range 150 {
		text := soup(rand.New(rand.NewPCG(seed, uint64(i))))
		write(t, filepath.Join(dir, "x.conf"), text)
		nginx, starling := nginxSays(t, dir), starlingSays(t, dir)
		if nginx == `no "events" section in configuration` {
			nginx = "ok" // starling's modules say that, not its language
		}
		// nginx cuts its messages at some 1,000 bytes.
		if cut := 900; nginx[:min(cut, len(nginx))] != starling[:min(cut, len(starling))] {
			t.Errorf("soup %d: %.300q\nnginx    %.200s\nstarling %.200s", i, text, nginx, starling)
		}
	}
}

// TestUnitsAreThoseOfNginx compares which texts are times and sizes at all.
func TestUnitsAreThoseOfNginx(t *testing.T) {
	dir := t.TempDir()
	accepts := func(_ any, err error) bool { return err == nil }
	pieces := []string{"1", "0", "20", "y", "M", "w", "d", "h", "m", "s", "ms", " ", "k", "g", "x", "9223372036854775807", "99999999"}
	r := rand.New(rand.NewPCG(1, 1))
	for range 40 {
		text := pieces[r.IntN(3)]
		for range r.IntN(5) {
			text += pieces[r.IntN(len(pieces))]
		}
		size, _ := conf.Size(text)
		duration, timeErr := conf.Time(text)
		for directive, starling := range map[string]bool{
			"client_body_timeout":   timeErr == nil && duration >= 0,
			"open_file_cache_valid": accepts(conf.Seconds(text)),
			"send_lowat":            accepts(conf.Size(text)) && size >= 0,
			"client_max_body_size":  accepts(conf.Offset(text)),
		} {
			if !starling && len(text) > 8 {
				continue // durations end at 292 years here
			}
			write(t, filepath.Join(dir, "x.conf"), "events {} http { "+directive+" '"+text+"'; }")
			if nginx := nginxSays(t, dir); (nginx == "ok") != starling {
				t.Errorf("%s %q: starling %v, nginx %s", directive, text, starling, nginx)
			}
		}
	}
}
