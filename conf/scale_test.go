package conf_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
)

// BenchmarkServers reads and binds 1,000 virtual servers of 10 locations each.
func BenchmarkServers(b *testing.B) {
	var text strings.Builder
	text.WriteString("http {\n")
	for i := range 1000 {
		text.WriteString("server {\n allow 10.0.0.1; deny all;\n")
		for j := range 10 {
			fmt.Fprintf(&text, "location /path/%d/%d { limit_req zone=a burst=5 nodelay; limit_req_status 429; }\n", i, j)
		}
		text.WriteString("}\n")
	}
	text.WriteString("}\n")
	fsys := fstest.MapFS{"n": {Data: []byte(text.String())}}
	binder, err := conf.NewBinder([]*conf.Module{coreModule, limitModule})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		tree, _ := conf.Parse(fsys, "/n")
		if err := binder.Bind(tree, nil).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
