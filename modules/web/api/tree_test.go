package api

import (
	"fmt"
	"testing"

	"starling/admin"
)

func TestTree(t *testing.T) {
	tree := newTree([]admin.Resource{
		{Path: "nginx", Since: 1}, {Path: "http/keyvals", Since: 1}, {Path: "http/limit_reqs", Since: 6}, {Path: "stream/zone_sync", Since: 3},
	})
	for _, c := range []struct {
		version int
		path    string
		want    string
	}{
		{9, "", "list [nginx http stream]"},
		{2, "", "list [nginx http]"},
		{9, "/http/", "list [keyvals limit_reqs]"},
		{5, "http", "list [keyvals]"},
		{9, "nginx", "nginx []"},
		{9, "http/keyvals/one/", "http/keyvals [one]"},
		{9, "http/keyvals//x", "http/keyvals [ x]"},
		{5, "http/limit_reqs", "nothing"},
		{9, "http/nothing", "nothing"},
		{2, "stream", "nothing"},
	} {
		resource, tail, names := tree.find(c.version, splitPath(c.path))
		got := "nothing"
		if resource != nil {
			got = fmt.Sprint(resource.Path, " ", tail)
		} else if names != nil {
			got = fmt.Sprint("list ", names)
		}
		if got != c.want {
			t.Errorf("version %d, %q: got %s, want %s", c.version, c.path, got, c.want)
		}
	}
}

func TestFields(t *testing.T) {
	const one = `{"a":1,"b":{"x":"<"},"c":null}`
	for _, c := range []struct {
		text, wanted string
		collection   bool
		want         string
	}{
		{one, "b,c", false, `{"b":{"x":"<"},"c":null}`},
		{one, "none", false, `{}`},
		{one, "", false, one},
		{`{"u":` + one + `,"v":` + one + `}`, "a", true, `{"u":{"a":1},"v":{"a":1}}`},
		{`{"u":` + one + `,"v":{}}`, "", true, `["u","v"]`},
		{`[` + one + `,` + one + `]`, "a", false, `[{"a":1},{"a":1}]`},
		{`7`, "a", false, `7`},
	} {
		if got := string(fields([]byte(c.text), c.wanted, c.collection)); got != c.want {
			t.Errorf("%s of %s: got %s, want %s", c.wanted, c.text, got, c.want)
		}
	}
}
