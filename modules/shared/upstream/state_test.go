package upstream

import (
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
	servers "starling/upstream"
)

// FuzzServerLine: whatever the API accepts as a name or a route is read back from the file as it was.
func FuzzServerLine(f *testing.F) {
	var all strings.Builder
	for b := byte(1); b < 0x80; b++ {
		all.WriteByte(b)
	}
	for _, s := range []string{"", "a", all.String(), `a"b\c`, "$a{b}", "\\n", `\`, "ü", "#", "';"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxNameBytes || strings.Contains(text, "\x00") {
			return
		}
		s := servers.NewSettings("unix:/"+text, servers.Unix("/"+text))
		s.Route = "r" + text
		line := serverLine(&s)
		tree, err := conf.Parse(fstest.MapFS{"f": {Data: []byte(line)}}, "/f")
		if err != nil || len(tree.Nodes) != 1 {
			t.Fatalf("%q: %v", line, err)
		}
		if got := tree.Nodes[0].Words; len(got) != 2 || got[0] != s.Name && text != "" || got[1] != "route="+s.Route {
			t.Errorf("%q is read as %q", line, got)
		}
	})
}
