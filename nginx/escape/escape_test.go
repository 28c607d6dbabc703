package escape

import "testing"

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		text string
		set  *Set
		want string
	}{
		{"/a b", Path, "/a%20b"},
		{"/a?b#c%d", Path, "/a%3Fb%23c%25d"},
		{"/a+b&c;d", Path, "/a+b&c;d"},
		{"a+b&c;d", Args, "a%2Bb%26c%3Bd"},
		{"/a?b#c%d=~'\"\\{}|^`<&>+\x01\xe9[]", Refresh, "/a?b#c%d=%7E%27%22%5C%7B}%7C%5E%60%3C&%3E+%01%E9[]"},
		{"\x00\x7f\xff{}", Path, "%00%7F%FF%7B%7D"},
	} {
		if got := string(Append(nil, []byte(c.text), c.set)); got != c.want {
			t.Errorf("%q gives %q, want %q", c.text, got, c.want)
		}
	}
}

func TestRedirectInPlace(t *testing.T) {
	for text, want := range map[string]string{
		"/a%20b":     "/a%20b",
		"/a%41b":     "/aAb",
		"/a%2fb?%41": "/a/b?%41",
		"/a%3Fb%41":  "/a?b%41",
		"/%25":       "/%25",
		"/%zz":       "/zz",
		"/%4":        "/",
		"/%":         "/",
	} {
		if got := string(RedirectInPlace([]byte(text))); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	dst, src := make([]byte, 0, 64), []byte("/a b/c?d")
	if n := testing.AllocsPerRun(100, func() { dst = Append(dst[:0], src, Path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
