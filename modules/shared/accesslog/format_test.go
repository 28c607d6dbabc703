package accesslog

import (
	"strings"
	"testing"

	"starling/lib/testkit"
	"starling/nginx/logescape"
	"starling/plan"
	"starling/side/sidetest"
)

func compiled(t *testing.T, escape logescape.Style, parts ...string) *format[*sidetest.Subject] {
	t.Helper()
	s, p := Options[*sidetest.Subject]{Side: &sidetest.Side}, plan.New()
	if err := sidetest.Declare(p); err != nil {
		t.Fatal(err)
	}
	f, err := s.addFormat(p, "f", escape, parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if missing := sidetest.Side.Variables(p).Resolve(); len(missing) > 0 {
		t.Fatal(missing)
	}
	return f
}

// TestPartsOfAFormat: the name of a variable ends with the argument that it is in.
func TestPartsOfAFormat(t *testing.T) {
	r := &sidetest.Subject{Values: map[string]string{"plain": "abc"}}
	if got := string(compiled(t, logescape.Default, "$v_plain", "er", " $v_plain", "\t").append(nil, r)); got != "abcer abc\t" {
		t.Error(got)
	}
}

func TestLines(t *testing.T) {
	r := &sidetest.Subject{Values: map[string]string{"plain": "abc", "quoted": `a"b\`, "empty": "", "bytes": "\x00\xff\n"}}
	for _, c := range []struct {
		escape     logescape.Style
		text, want string
	}{
		{logescape.Default, `$v_plain $v_quoted.`, `abc a\x22b\x5C.`},
		{logescape.JSON, `{"q":"$v_quoted","p":"$v_plain"}`, `{"q":"a\"b\\","p":"abc"}`},
		{logescape.None, `$v_quoted|$v_none|`, `a"b\||`},
		{logescape.Default, `[$v_none][$v_empty]`, `[-][]`},
		{logescape.JSON, `[$v_none][$v_empty]`, `[][]`},
		{logescape.Default, `$v_bytes$v_quoted$v_bytes`, `\x00\xFF\x0Aa\x22b\x5C\x00\xFF\x0A`},
	} {
		f := compiled(t, c.escape, c.text)
		// Behind what stands there already, with room for nothing and for all of it.
		for _, dst := range [][]byte{[]byte("> "), append(make([]byte, 0, 256), "> "...)} {
			if got := string(f.append(dst, r)); got != "> "+c.want {
				t.Errorf("%s\ngot  %s\nwant > %s", c.text, got, c.want)
			}
		}
	}
}

func TestALineDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	r := &sidetest.Subject{Values: map[string]string{"long": strings.Repeat(`"`, 100)}}
	f := compiled(t, logescape.Default, "$v_long $v_long $v_none")
	line := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { line = f.append(line[:0], r) }); n > 0 {
		t.Errorf("%v allocations for a line", n)
	}
}
