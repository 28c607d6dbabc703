package healthcheck

import (
	"bytes"
	"fmt"
	"testing"

	"starling/conf"
)

func TestUnescape(t *testing.T) {
	for _, c := range []struct{ text, want, err string }{
		{"", "", ""},
		{"QUIT", "QUIT", ""},
		{`\x51\x55IT`, "QUIT", ""},
		{`a\x00\xfF\x7fb`, "a\x00\xff\x7fb", ""},
		{`\n\\`, `\n\\`, ""},
		{`x41`, "x41", ""},
		{`\x`, "", `invalid hexadecimal literal "\x"`},
		{`a\x4`, "", `invalid hexadecimal literal "\x4"`},
		{`\x4g00`, "", `invalid hexadecimal literal "\x4g"`},
		{`\x\x41`, "", `invalid hexadecimal literal "\x\x"`},
	} {
		got, err := unescape(c.text)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if string(got) != c.want || text != c.err {
			t.Errorf("%s: got %q %s, want %q %s", c.text, got, text, c.want, c.err)
		}
	}
}

// FuzzUnescape: any bytes can be written as literals, and text without literals stays.
func FuzzUnescape(f *testing.F) {
	f.Add(`\x00\x41b`)
	f.Add(`\x4`)
	f.Add("plain")
	f.Fuzz(func(t *testing.T, text string) {
		literals := ""
		for _, b := range []byte(text) {
			literals += fmt.Sprintf("\\x%02x", b)
		}
		if got, err := unescape(literals); err != nil || string(got) != text {
			t.Errorf("%q: %q %v", literals, got, err)
		}
		got, err := unescape(text)
		if err == nil && len(got) > len(text) {
			t.Errorf("%q grew to %q", text, got)
		}
		if !bytes.Contains([]byte(text), []byte(`\x`)) && (err != nil || string(got) != text) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	})
}

// FuzzExpect: no test and no data break the check, and a literal finds itself.
func FuzzExpect(f *testing.F) {
	f.Add("~", `^\x80[\x00-\xff]*$`, []byte{0x80, 0xff})
	f.Add("~*", "OK", []byte("+ok"))
	f.Add("", `\x24`, []byte("$"))
	f.Fuzz(func(t *testing.T, operator, pattern string, data []byte) {
		n := &conf.Node{Name: "expect", Words: []string{pattern}}
		if operator != "" {
			n.Words = []string{operator, pattern}
		}
		m, err := readMatch([]*conf.Node{n})
		if err != nil {
			return
		}
		m.accepts(data)
		if m.pattern == nil {
			if ok, err := m.accepts(append(bytes.Clone(data), m.text...)); !ok || err != nil {
				t.Errorf("%q is not found in %q", m.text, data)
			}
		}
	})
}
