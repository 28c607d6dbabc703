package core_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
	"starling/modules/core"
)

// blocks are stand-ins for those of the families that are not tested here.
var blocks = conf.Module{Name: "blocks", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}], Directives: []conf.Directive{
	{Name: "events", In: conf.Main, Opens: conf.Events},
	{Name: "http", In: conf.Main, Opens: conf.HTTP},
	{Name: "server", In: conf.HTTP, Opens: conf.Server},
	{Name: "location", In: conf.Server, Opens: conf.Location},
	{Name: "if", In: conf.Location, Opens: conf.LocationIf},
	{Name: "stream", In: conf.Main, Opens: conf.Stream},
	{Name: "server", In: conf.Stream, Opens: conf.StreamServer},
}}

// inside has a text for each context in which a directive can be put in the place of X.
var inside = map[conf.Context]string{
	conf.HTTP: "http { X }", conf.Server: "http { server { X } }", conf.Location: "http { server { location { X } } }",
	conf.LocationIf: "http { server { location { if { X } } } }", conf.Stream: "stream { X }", conf.StreamServer: "stream { server { X } }",
}

// bound binds a text and returns the problem, "ok" if there is none.
func bound(t *testing.T, text string) string {
	t.Helper()
	if err := bind(t, text).Err(); err != nil {
		return err.Error()
	}
	return "ok"
}

func bind(t *testing.T, text string) *conf.Bound {
	t.Helper()
	binder, err := conf.NewBinder([]*conf.Module{&blocks, core.Ignored(), core.Off()})
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(fstest.MapFS{"n.conf": {Data: []byte(text)}}, "/n.conf")
	return binder.Bind(tree, nil)
}

// offs are the lines that pass, with what is refused of the same directives, and where.
var offs = []struct {
	passes  string
	refused []string
	in      []conf.Context
}{
	{"dav_methods off; dav_methods off", nil, []conf.Context{conf.Location}},
	{"dav_methods off", []string{"dav_methods PUT DELETE"}, []conf.Context{conf.Location}},
	{"create_full_put_path off", []string{"create_full_put_path on"}, []conf.Context{conf.Location}},
}

// TestOff: what says how starling is passes in every block where nginx takes it, and nothing else does.
func TestOff(t *testing.T) {
	for _, c := range offs {
		for _, in := range c.in {
			put := func(line string) string { return "\n" + strings.ReplaceAll(inside[in], "X", line+";") }
			if got := bound(t, put(c.passes)); got != "ok" {
				t.Errorf("%s in %s: %s", c.passes, in, got)
			}
			for _, line := range c.refused {
				if got, want := bound(t, put(line)), `"`+line+`" is not supported by starling in /n.conf:2`; got != want {
					t.Errorf("%s in %s: %s, want %s", line, in, got, want)
				}
			}
		}
	}
}

// TestOffIsWhole: the list has no line that is not tested, and each stands wherever nginx has it.
func TestOffIsWhole(t *testing.T) {
	known := map[string]conf.Context{}
	for _, k := range conf.KnownDirectives() {
		known[k.Name] |= k.In & (conf.Lines - 1) // not mail
	}
	tested := map[string]bool{}
	for _, c := range offs {
		name, _, _ := strings.Cut(c.passes, " ")
		tested[name] = true
	}
	for _, d := range core.Off().Directives {
		if !tested[d.Name] || d.In != known[d.Name] {
			t.Errorf("%s: tested %t, stands in %s, in nginx in %s", d.Name, tested[d.Name], d.In, known[d.Name])
		}
	}
	for _, d := range core.Ignored().Directives {
		if d.In&^known[d.Name] != 0 {
			t.Errorf("%s stands in %s, in nginx in %s", d.Name, d.In, known[d.Name])
		}
	}
}

// TestIgnored: what has no meaning is accepted, and its arguments are counted.
func TestIgnored(t *testing.T) {
	for line, want := range map[string]string{
		"ssl_buffer_size 4k": "ok", "proxy_send_lowat 12000": "ok", "gzip_buffers 16 8k": "ok", "proxy_temp_file_write_size 64k": "ok",
		"map_hash_max_size 2048": "ok", "open_file_cache_valid 60s": "ok", "postpone_output 1460": "ok", "types_hash_bucket_size 64": "ok",
		"map_hash_max_size 1k":     `"map_hash_max_size" directive invalid number in /n.conf:1`,
		"open_file_cache_valid x":  `"open_file_cache_valid" directive invalid value in /n.conf:1`,
		"connection_pool_size 1x":  `"connection_pool_size" directive invalid value in /n.conf:1`,
		"open_file_cache_min_uses": `invalid number of arguments in "open_file_cache_min_uses" directive in /n.conf:1`,
		"gzip_buffers 16":          `invalid number of arguments in "gzip_buffers" directive in /n.conf:1`,
	} {
		if got := bound(t, "http { "+line+"; }"); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// TestOffIsChecked: what nginx does not take either is told in its words.
func TestOffIsChecked(t *testing.T) {
	for line, want := range map[string]string{
		"create_full_put_path":                                      `invalid number of arguments in "create_full_put_path" directive`,
		"create_full_put_path off off":                              `invalid number of arguments in "create_full_put_path" directive`,
		"create_full_put_path maybe":                                `invalid value "maybe"`,
		"create_full_put_path off; create_full_put_path on":         `"create_full_put_path" directive is duplicate`,
		"dav_methods off; create_full_put_path off; location / { }": `"location" directive is not allowed here`,
	} {
		if got := bound(t, "http { "+line+"; }"); got != want+" in /n.conf:1" {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}
