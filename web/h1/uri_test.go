package h1

import "testing"

func TestNormalise(t *testing.T) {
	cases := []struct{ target, path, args string }{
		{"/", "/", ""},
		{"/a/b.html", "/a/b.html", ""},
		{"/a?b", "/a", "b"},
		{"/a?b?c", "/a", "b?c"},
		{"/a?b%20#f", "/a", "b%20"},
		{"/a#f?b", "/a", ""},
		{"//a///b", "/a/b", ""},
		{"/a/./b", "/a/b", ""},
		{"/a/.", "/a/", ""},
		{"/a/..", "/", ""},
		{"/a/b/../c", "/a/c", ""},
		{"/a/b/..?x", "/a/", "x"},
		{"/a/.#x", "/a/", ""},
		{"/a/...", "/a/...", ""},
		{"/a/.b/..c", "/a/.b/..c", ""},
		{"/a..b", "/a..b", ""},
		{"/%61", "/a", ""},
		{"/a%2fb", "/a/b", ""},
		{"/a%2f%2e%2e%2fb", "/b", ""},
		{"/a/%2e/b", "/a/b", ""},
		{"/a%3fb", "/a?b", ""},
		{"/a%23b", "/a#b", ""},
		{"/a%25b", "/a%b", ""},
		{"/a%2541", "/a%41", ""},
		{"/%02", "/\x02", ""},
		{"/a%0d%0ab", "/a\r\nb", ""},
		{"?a", "/", "a"},
		{"/a+b", "/a+b", ""},
		{"/\xff", "/\xff", ""},
	}
	for _, c := range cases {
		path, args, ok := Normalise(nil, []byte(c.target), true)
		if !ok || string(path) != c.path || string(args) != c.args {
			t.Errorf("%q: got %q %q %v, want %q %q", c.target, path, args, ok, c.path, c.args)
		}
	}
	for _, bad := range []string{"/%", "/%1", "/%g0", "/%0g", "/%00", "/..", "/../", "/a/../..", "/%2e%2e/", "/..?x", "/..#"} {
		if path, _, ok := Normalise(nil, []byte(bad), true); ok {
			t.Errorf("%q: got %q, want a refusal", bad, path)
		}
	}
}

func TestNormaliseKeepsSlashes(t *testing.T) {
	cases := []struct{ target, path string }{
		{"//a//b", "//a//b"}, {"//a/../b", "//b"}, {"/a//../b", "/a/b"}, {"//..", "/"},
	}
	for _, c := range cases {
		if path, _, ok := Normalise(nil, []byte(c.target), false); !ok || string(path) != c.path {
			t.Errorf("%q: got %q %v, want %q", c.target, path, ok, c.path)
		}
	}
}

func TestNormaliseAppends(t *testing.T) {
	mem := append(make([]byte, 0, 64), "before"...)
	path, _, _ := Normalise(mem, []byte("/x/../a%20b"), true)
	if string(path) != "/a b" || string(mem[:6]) != "before" {
		t.Errorf("got %q behind %q", path, mem)
	}
	if _, _, ok := Normalise(append(mem, '/'), []byte("/.."), true); ok {
		t.Error(".. went above the root, into what stood before")
	}
}
