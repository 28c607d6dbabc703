package conf_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
)

// names lists the directives of a tree as "name words@file:line", blocks in braces.
func names(nodes []*conf.Node) string {
	var out []string
	for _, n := range nodes {
		s := strings.Join(append([]string{n.Name}, n.Words...), " ") + fmt.Sprintf("@%s:%d", n.File, n.Line)
		if n.Opens {
			s += "{" + names(n.Block) + "}"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func files(texts map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range texts {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

var includes = []struct {
	name  string
	files map[string]string
	want  string // the tree, or the problem
	loads string
}{{
	name:  "relative to the main file, wherever it stands",
	files: map[string]string{"etc/n.conf": "include s/a.conf;\nz;", "etc/s/a.conf": "a; include s/b.conf;", "etc/s/b.conf": "b;"},
	want:  "a@/etc/s/a.conf:1 b@/etc/s/b.conf:1 z@/etc/n.conf:2",
	loads: "/etc/n.conf /etc/s/a.conf /etc/s/b.conf",
}, {
	name:  "absolute",
	files: map[string]string{"etc/n.conf": "http { include /opt/a.conf; }", "opt/a.conf": "a;"},
	want:  "http@/etc/n.conf:1{a@/opt/a.conf:1}",
	loads: "/etc/n.conf /opt/a.conf",
}, {
	name:  "a pattern in order, without hidden files",
	files: map[string]string{"etc/n.conf": "include c/*.conf;", "etc/c/b.conf": "b;", "etc/c/a.conf": "a;", "etc/c/.z.conf": "}"},
	want:  "a@/etc/c/a.conf:1 b@/etc/c/b.conf:1",
	loads: "/etc/n.conf /etc/c/a.conf /etc/c/b.conf",
}, {
	name:  "patterns of folders sort by the whole path",
	files: map[string]string{"etc/n.conf": "include */x;", "etc/a/x": "a;", "etc/a-b/x": "ab;"},
	want:  "ab@/etc/a-b/x:1 a@/etc/a/x:1",
	loads: "/etc/n.conf /etc/a-b/x /etc/a/x",
}, {
	name:  "a negated class",
	files: map[string]string{"etc/n.conf": "include [!a].c;", "etc/a.c": "a;", "etc/b.c": "b;"},
	want:  "b@/etc/b.c:1",
	loads: "/etc/n.conf /etc/b.c",
}, {
	name:  "a pattern without match",
	files: map[string]string{"etc/n.conf": "include none/*; z;"},
	want:  "z@/etc/n.conf:1",
	loads: "/etc/n.conf",
}, {
	name:  "one file twice is read twice and kept once",
	files: map[string]string{"etc/n.conf": "http { include a; } include a;", "etc/a": "a;"},
	want:  "http@/etc/n.conf:1{a@/etc/a:1} a@/etc/a:1",
	loads: "/etc/n.conf /etc/a",
}, {
	name:  "a missing file",
	files: map[string]string{"etc/n.conf": "events {}\ninclude a;"},
	want:  `open() "/etc/a" failed (2: No such file or directory) in /etc/n.conf:2`,
	loads: "/etc/n.conf",
}, {
	name: "a missing main file",
	want: `open() "/etc/n.conf" failed (2: No such file or directory)`,
}, {
	name:  "a folder",
	files: map[string]string{"etc/n.conf": "include d;", "etc/d/x": ""},
	want:  `read() "/etc/d" failed (21: Is a directory) in /etc/n.conf:1`,
	loads: "/etc/n.conf",
}, {
	name:  "a file that includes itself",
	files: map[string]string{"etc/n.conf": "include n.conf;"},
	want:  `includes are nested too deeply, the limit is 32; does "/etc/n.conf" include itself? in /etc/n.conf:1`,
	loads: "/etc/n.conf",
}, {
	name:  "a block does not reach over files",
	files: map[string]string{"etc/n.conf": "http {\ninclude a;\n}", "etc/a": "server { } }"},
	want:  `unexpected "}" in /etc/a:1`,
	loads: "/etc/n.conf /etc/a",
}, {
	name:  "a class of characters",
	files: map[string]string{"etc/n.conf": "include [[:alpha:]]*;"},
	want:  `character classes in include pattern "/etc/[[:alpha:]]*" are not supported by starling in /etc/n.conf:1`,
	loads: "/etc/n.conf",
}}

func TestInclude(t *testing.T) {
	for _, c := range includes {
		t.Run(c.name, func(t *testing.T) {
			tree, err := conf.Parse(files(c.files), "/etc/n.conf")
			got := names(tree.Nodes)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			var loads []string
			for _, f := range tree.Files {
				loads = append(loads, f.Path)
				if string(f.Bytes) != c.files[f.Path[1:]] {
					t.Errorf("%s is kept as %q", f.Path, f.Bytes)
				}
			}
			if got := strings.Join(loads, " "); got != c.loads {
				t.Errorf("loaded %s, want %s", got, c.loads)
			}
		})
	}
}

// A file that includes itself twice must end soon, not after 2^32 readings.
func TestIncludesAreBounded(t *testing.T) {
	_, err := conf.Parse(files(map[string]string{"n": "include [n];include [n];"}), "/n")
	if err == nil || !strings.HasPrefix(err.Error(), "includes are nested too deeply") {
		t.Errorf("got %v", err)
	}
	chain := map[string]string{"n": "include a*;"}
	for i := range 10 {
		for j := range 10 {
			chain[fmt.Sprintf("%c%d", 'a'+i, j)] = fmt.Sprintf("include %c*;", 'a'+i+1)
		}
	}
	_, err = conf.Parse(files(chain), "/n")
	if err == nil || !strings.HasPrefix(err.Error(), "too many included files, the limit is 65536 in /") {
		t.Errorf("got %v", err)
	}
	_, err = conf.Parse(files(map[string]string{"n": strings.Repeat("a{", 1000)}), "/n")
	if err == nil || err.Error() != "blocks are nested too deeply, the limit is 128 in /n:1" {
		t.Errorf("got %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	fsys := files(map[string]string{"n": "z;", "a": "a;"})
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"daemon off; pid x;", "b;"}, "daemon off@command line:1 pid x@command line:1 b@command line:1 z@/n:1"},
		{[]string{"include a;"}, "a@/a:1 z@/n:1"},
		{[]string{"daemon off"}, `unexpected end of parameter, expecting ";" in command line`},
		{[]string{"http { }"}, `block directives are not supported in -g option in command line`},
		{[]string{"}"}, `unexpected "}" in command line`},
	} {
		tree, err := conf.Parse(fsys, "/n", c.texts...)
		got := names(tree.Nodes)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("-g %q:\ngot  %s\nwant %s", c.texts, got, c.want)
		}
	}
}

func TestTooLong(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct{ text, want string }{
		{"a;\nb '" + long + "';", `too long parameter, probably missing terminating "'" character in /n:2`},
		{"a;\nb \"\n\n" + long, `too long parameter, probably missing terminating """ character in /n:2`},
		{"a;\n" + long + ";", `too long parameter "xxxxxxxxxx..." started in /n:2`},
		{"# " + long + "\n", `too long parameter "# xxxxxxxx..." started in /n:1`}, // nginx too
		{"b " + long[:4096] + ";", `too long parameter "xxxxxxxxxx..." started in /n:1`},
		{"b " + long[:4095] + ";", ""},
		{"b " + long[:4096], `unexpected end of file, expecting ";" or "}" in /n:1`},
	} {
		_, err := conf.Parse(files(map[string]string{"n": c.text}), "/n")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%.20q...:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
	tree, _ := conf.Parse(files(map[string]string{"n": "b " + long[:2000] + " " + long[:4000] + ";"}), "/n")
	if got := []int{len(tree.Nodes[0].Words[0]), len(tree.Nodes[0].Words[1])}; !slices.Equal(got, []int{2000, 4000}) {
		t.Errorf("word lengths %v", got)
	}
}
