package hostnames

import (
	"errors"
	"testing"

	"starling/lib/testkit"
)

// table holds each name as its own value.
func table(t *testing.T, names ...string) *Table[string] {
	t.Helper()
	var all Table[string]
	for _, name := range names {
		if err := all.Add(name, name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return &all
}

func TestTheBestMaskCounts(t *testing.T) {
	names := table(t, "www.example.org", "*.example.org", "*.a.example.org", "www.*", "www.example.*", ".both.org", "", "localhost")
	for host, want := range map[string]string{
		"www.example.org":   "www.example.org",
		"b.example.org":     "*.example.org",
		"b.c.example.org":   "*.example.org",
		"b.a.example.org":   "*.a.example.org",
		"a.example.org":     "*.example.org",
		"example.org":       "none",
		".example.org":      "*.example.org", // as in nginx, the asterisk may stand for nothing
		".both.org":         ".both.org",
		"www.other.org":     "www.*",
		"www.example.com":   "www.example.*",
		"www.example.co.uk": "www.example.*",
		"www.":              "www.*",
		"both.org":          ".both.org",
		"x.y.both.org":      ".both.org",
		"localhost":         "localhost",
		"":                  "",
		".":                 "none",
	} {
		got, found := names.Find([]byte(host))
		if !found {
			got = "none"
		}
		if got != want {
			t.Errorf("%q finds %q, want %q", host, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		there, name string
		want        error
	}{
		{"a.org", "b.org", nil},
		{"a.org", "a.org", ErrTaken},
		{"a.org", "*.a.org", nil},
		{"a.org", ".a.org", ErrTaken},
		{".a.org", "a.org", ErrTaken},
		{".a.org", "*.a.org", ErrTaken},
		{"a.*", "a.*", ErrTaken},
		{"a.org", "*", ErrInvalid},
		{"a.org", "*.", ErrInvalid},
		{"a.org", ".*", ErrInvalid},
		{"a.org", "*.a.*", ErrInvalid},
		{"a.org", "a*.org", ErrInvalid},
		{"a.org", "a..org", ErrInvalid},
		{"a.org", "a\x00.org", ErrInvalid},
	} {
		var all Table[int]
		if err := all.Add(c.there, 1); err != nil {
			t.Fatal(err)
		}
		if err := all.Add(c.there, 1); err != nil {
			t.Errorf("%s twice for one value: %v", c.there, err)
		}
		if err := all.Add(c.name, 2); !errors.Is(err, c.want) {
			t.Errorf("%q beside %q: %v, want %v", c.name, c.there, err, c.want)
		}
	}
}

// A name that is taken is ignored whole: its mask does not stay behind.
func TestATakenNameLeavesNoMask(t *testing.T) {
	all := table(t, "a.org")
	if err := all.Add(".a.org", "other"); err == nil {
		t.Fatal("it was taken twice")
	}
	if v, found := all.Find([]byte("x.a.org")); found {
		t.Errorf("x.a.org finds %s", v)
	}
}

func TestAnAsteriskOfAnExactName(t *testing.T) {
	var all Table[int]
	if err := errors.Join(all.AddExact("*.a", 1), all.AddExact("..", 2)); err != nil {
		t.Fatal(err)
	}
	if _, found := all.Find([]byte("x.a")); found {
		t.Error("an exact name is a mask")
	}
	if v, _ := all.Find([]byte("*.a")); v != 1 {
		t.Errorf("got %d", v)
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	names, host := table(t, "*.example.org", "www.*", "x"), []byte("a.b.c.example.net")
	if n := testing.AllocsPerRun(100, func() { names.Find(host) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
