package vars

import "testing"

type request map[string]string

func table(t *testing.T) *Table[request] {
	g := NewTable[request]()
	for _, v := range []Variable[request]{
		{Name: "uri", Append: func(r request, _ string, d []byte) ([]byte, bool) { return append(d, r["uri"]...), true }},
		{Name: "1", Append: func(r request, _ string, d []byte) ([]byte, bool) { return append(d, "one"...), true }},
		{Name: "arg_", Prefix: true, Append: func(r request, rest string, d []byte) ([]byte, bool) {
			v, ok := r["arg "+rest]
			return append(d, v...), ok
		}},
	} {
		if err := g.Declare(v); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func TestTemplates(t *testing.T) {
	g := table(t)
	r := request{"uri": "/a", "arg x_y": "1"}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"$uri", "/a"},
		{"<${uri}b>", "</ab>"},
		{"$uri:$arg_x_y:$arg_none.", "/a:1:."},
		{"$12", "one2"},
		{"$URI", "/a"},
	} {
		tpl, err := g.Compile(c.text, nil)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		if missing := g.Resolve(); missing != nil {
			t.Fatalf("%q: %v", c.text, missing)
		}
		if got := string(tpl.Append(nil, r)); got != c.want {
			t.Errorf("%q gives %q, want %q", c.text, got, c.want)
		}
	}
}

func TestBadTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"a$":    `invalid variable name in "a$"`,
		"$-":    `invalid variable name in "$-"`,
		"${uri": `the closing bracket in "uri" variable is missing`,
		"${}":   `invalid variable name in "${}"`,
	} {
		if _, err := table(t).Compile(text, nil); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestUnknownVariablesAreReportedWithTheirPlace(t *testing.T) {
	g := table(t)
	if _, err := g.Compile("$later$nowhere", "line 7"); err != nil {
		t.Fatal(err)
	}
	if err := g.Declare(Variable[request]{Name: "later", Append: func(request, string, []byte) ([]byte, bool) { return nil, false }}); err != nil {
		t.Fatal(err)
	}
	missing := g.Resolve()
	if len(missing) != 1 || missing[0].Error() != `unknown "nowhere" variable` || missing[0].Where != "line 7" {
		t.Errorf("got %v", missing)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	g := table(t)
	tpl, err := g.Compile("$uri:$arg_x", nil)
	if err != nil || g.Resolve() != nil {
		t.Fatal(err)
	}
	r, buf := request{"uri": "/a", "arg x": "v"}, make([]byte, 0, 64)
	// The map lookup with a joined key is the test's own and stays on the stack.
	if n := testing.AllocsPerRun(100, func() { buf = tpl.Append(buf[:0], r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
