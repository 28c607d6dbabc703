package conf_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
)

// FuzzParse: whatever the text, reading and binding end without a panic, every problem has a place, and what
// was read can be told apart from what was not.
func FuzzParse(f *testing.F) {
	for _, e := range examples(f) {
		f.Add(e.text)
	}
	f.Add("include x.conf; include *.conf; include x[.conf;")
	f.Add(strings.Repeat("http{", 200))
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fsys := fstest.MapFS{"etc/x.conf": {Data: []byte(text)}, "etc/y.conf": {Data: []byte("limit_req_status 500;")}}
		tree, err := conf.Parse(fsys, "/etc/x.conf", "limit_req_status 500;")
		bound := binder.Bind(tree, nil)
		if err != nil && bound.Err() == nil {
			t.Errorf("the problem of the text was lost: %v", err)
		}
		for _, p := range bound.Problems {
			if p.File == "" || p.What == "" {
				t.Errorf("a problem without place or words: %#v", p)
			}
		}
		if len(tree.Files) == 0 || string(tree.Files[0].Bytes) != text {
			t.Errorf("the file is not kept as it was")
		}
	})
}
