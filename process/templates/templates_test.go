package templates_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"starling/process/templates"
)

var environment = map[string]string{"BACKEND": "10.0.0.1:80", "EMPTY": "", "lower": "low", "other_1": "x"}

func lookup(name string) (string, bool) {
	value, defined := environment[name]
	return value, defined
}

func over(files map[string]string, filter string) fs.FS {
	base := fstest.MapFS{}
	for name, text := range files {
		base[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s := templates.Settings{Dir: "/etc/templates", Lookup: lookup, Kinds: []templates.Kind{
		{Suffix: ".template", OutputDir: "/etc/conf.d"}, {Suffix: ".stream-template", OutputDir: "/etc/stream.d"}}}
	if filter != "" {
		s.Filter = regexp.MustCompile(filter)
	}
	return templates.Over(base, s)
}

// What the environment has is put in, what it lacks is a variable of nginx, and what can be neither is an error.
func TestSubstitution(t *testing.T) {
	for _, c := range []struct{ text, filter, want string }{
		{"server $BACKEND;", "", "server 10.0.0.1:80;"},
		{"server ${BACKEND}0;", "", "server 10.0.0.1:800;"},
		{"set $a '$EMPTY'; return $host$uri$1 $lower$other_1;", "", "set $a ''; return $host$uri$1 lowx;"},
		{"$lower $BACKEND $NAME", "^BACK", "$lower 10.0.0.1:80 $NAME"},
		{"# $MISSING\nserver $BACKEND; # $BACKEND", "", "# $MISSING\nserver 10.0.0.1:80; # 10.0.0.1:80"},
		{"a;\nserver $MISSING:${GONE};", "", `error: template /etc/templates/a.template uses variables that the environment does not have: "MISSING" in line 2, "GONE" in line 2`},
		{"server ${BACKEND:-x};", "", `error: template /etc/templates/a.template uses variables that the environment does not have: ` +
			`"${BACKEND:-x}" in line 1 (write ${BACKEND}: there are no defaults)`},
		{"map $host ${host}x {}", "", "map $host ${host}x {}"},
	} {
		text, err := fs.ReadFile(over(map[string]string{"etc/templates/a.template": c.text}, c.filter), "etc/conf.d/a")
		got := string(text)
		if err != nil {
			got = "error: " + strings.TrimPrefix(err.Error(), "open etc/conf.d/a: ")
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// The results stand among the other files, in folders as the templates, and in the place of files of the same name.
func TestWhereResultsAppear(t *testing.T) {
	fsys := over(map[string]string{
		"etc/templates/a.conf.template": "new $BACKEND", "etc/templates/b.stream-template": "stream", "etc/templates/notes.txt": "none",
		"etc/templates/..data/c.template": "hidden", "etc/templates/sites/d.conf.template": "below", "etc/templates/.template": "no name",
		"etc/conf.d/a.conf": "old", "etc/conf.d/e.conf": "plain",
	}, "")
	for pattern, want := range map[string]string{
		"etc/conf.d/*.conf": "etc/conf.d/a.conf etc/conf.d/e.conf", "etc/stream.d/*": "etc/stream.d/b", "etc/conf.d/sites/*": "etc/conf.d/sites/d.conf",
		"etc/conf.d/c": "", "etc/none/*": "",
	} {
		found, err := fs.Glob(fsys, pattern)
		if got := strings.Join(found, " "); got != want || err != nil {
			t.Errorf("%s finds %s (%v), want %s", pattern, got, err, want)
		}
	}
	for name, want := range map[string]string{"etc/conf.d/a.conf": "new 10.0.0.1:80", "etc/conf.d/e.conf": "plain", "etc/conf.d/sites/d.conf": "below"} {
		text, err := fs.ReadFile(fsys, name)
		if string(text) != want || err != nil {
			t.Errorf("%s is %q (%v), want %q", name, text, err, want)
		}
		if info, err := fs.Stat(fsys, name); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fs.ReadDir(over(nil, ""), "etc/conf.d"); err == nil {
		t.Error("a folder without files and templates is there")
	}
}

// Templates have limits, for somebody may mount the wrong folder.
func TestTooMuch(t *testing.T) {
	many := map[string]string{}
	for i := range 1001 {
		many["etc/templates/"+strings.Repeat("x", i+1)+".template"] = ""
	}
	for want, files := range map[string]map[string]string{
		"more than 1000 templates in /etc/templates":                             many,
		"/etc/templates/1/2/3/4/5/6/7/8/9: more than 8 levels of folders":        {"etc/templates/1/2/3/4/5/6/7/8/9/a.template": ""},
		"open etc/conf.d/a: template /etc/templates/a.template is larger than 1": {"etc/templates/a.template": strings.Repeat("x", 1<<20+1)},
	} {
		fsys := over(files, "")
		_, err := fs.ReadDir(fsys, "etc/conf.d") // as include with a pattern does
		if err == nil {
			_, err = fs.ReadFile(fsys, "etc/conf.d/a")
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// counting counts how often the file system is asked.
type counting struct {
	fstest.MapFS
	asked *int
}

func (c counting) ReadDir(name string) ([]fs.DirEntry, error) {
	*c.asked++
	return c.MapFS.ReadDir(name)
}
func (c counting) Stat(name string) (fs.FileInfo, error) { *c.asked++; return c.MapFS.Stat(name) }

// TestAResultLooksAtItsOwnTemplateOnly: a configuration includes all results, so looking at all for each is a square.
func TestAResultLooksAtItsOwnTemplateOnly(t *testing.T) {
	base, asked := fstest.MapFS{}, 0
	for i := range 200 {
		base[fmt.Sprintf("etc/templates/%d.conf.template", i)] = &fstest.MapFile{Data: []byte("$BACKEND")}
	}
	fsys := templates.Over(counting{base, &asked}, templates.Settings{Dir: "/etc/templates", Lookup: lookup,
		Kinds: []templates.Kind{{Suffix: ".template", OutputDir: "/etc/conf.d"}}})
	for i := range 200 {
		if text, err := fs.ReadFile(fsys, fmt.Sprintf("etc/conf.d/%d.conf", i)); err != nil || string(text) != "10.0.0.1:80" {
			t.Fatal(string(text), err)
		}
	}
	if asked > 200*4 {
		t.Errorf("200 results took %d looks at the file system", asked)
	}
}
