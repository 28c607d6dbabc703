package regex

import (
	"strings"
	"testing"

	"starling/lib/testkit"
)

func match(t *testing.T, pattern string, caseless bool, subject string) (groups []string, matched bool) {
	t.Helper()
	x, err := Compile(pattern, caseless)
	if err != nil {
		t.Fatalf("%s: %v", pattern, err)
	}
	var c Captures
	matched, err = x.Match([]byte(subject), &c)
	if err != nil {
		t.Fatal(err)
	}
	if quick, _ := x.Match([]byte(subject), nil); quick != matched {
		t.Errorf("%s: with captures %v, without %v", pattern, matched, quick)
	}
	for n := 1; matched && n <= x.Groups(); n++ {
		b, set := c.Group(n)
		if !set {
			b = []byte("-")
		}
		groups = append(groups, string(b))
	}
	return groups, matched
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ pattern, subject, want string }{
		{`\.php$`, "/a.php", ""},
		{`\.php$`, "/a.php\n", ""}, // as PCRE: a denied name stays denied
		{`\.php$`, "/a.phpx", "no"},
		{`\.php\z`, "/a.php\n", "no"},
		{`^/(\d+)/(\w*)`, "/12/ab", "12 ab"},
		{`^/(?<id>\d+)/(x)`, "/12/x", "12 x"},
		{`^/(?P<id>\d+)(a)?`, "/12", "12 -"},
		{`^/a\hb`, "/a\tb", ""},
		{`^a[\h]b`, "a b", ""},
		{`^a\Nb`, "axb", ""},
		{`^a\Nb`, "a\nb", "no"},
		{`^a\sb`, "a\x0bb", ""},
		{`^\Qa.b\E$`, "a.b", ""},
		{`^\Qa.b\E$`, "axb", "no"},
		{`^a[]x]b$`, "a]b", ""},
		{`^a[[]b$`, "a[b", ""},
		{`^a[[:digit:]]b$`, "a1b", ""},
		{`(?#words)^a$`, "a", ""},
		// what only the backtracking engine can do
		{`^/(?!admin)(.*)`, "/admin/x", "no"},
		{`^/(?!admin)(.*)`, "/user/x", "user/x"},
		{`(?<=/)b$`, "a/b", ""},
		{`^(\w)(?<n>\w)\1(x)`, "abax", "a b x"}, // groups are numbered from left to right
		{`^(?<n>a)(?P=n)(b)?$`, "aa", "a -"},
		{`^(?>a+)b`, "aab", ""},
		{`^a++b`, "aab", ""},
		{"^(?=.)\xc3(.)$", "\xc3\xa9", "\xa9"}, // bytes, not characters
		{`^(?=a)\d`, "a\u0661", "no"},
	} {
		groups, matched := match(t, c.pattern, false, c.subject)
		got := strings.Join(groups, " ")
		if !matched {
			got = "no"
		}
		if got != c.want {
			t.Errorf("%s on %q: got %q, want %q", c.pattern, c.subject, got, c.want)
		}
	}
}

func TestCaseless(t *testing.T) {
	for _, pattern := range []string{`^/ABC$`, `^/(?!x)ABC$`} {
		if _, matched := match(t, pattern, true, "/abc"); !matched {
			t.Errorf("%s does not match", pattern)
		}
		if _, matched := match(t, pattern, false, "/abc"); matched {
			t.Errorf("%s matches", pattern)
		}
	}
}

func TestNames(t *testing.T) {
	for _, pattern := range []string{`(?<a>x)(y)(?P<b>z)`, `(?!q)(?<a>x)(y)(?P<b>z)`} {
		x, err := Compile(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(x.Names(), ","); got != ",a,,b" {
			t.Errorf("%s: %s", pattern, got)
		}
	}
}

// The messages of PCRE2 10.42 behind nginx 1.22.1, except for those that say starling.
func TestErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a`:       `pcre2_compile() failed: missing closing parenthesis in "(a"`,
		`a)b`:      `pcre2_compile() failed: unmatched closing parenthesis in "a)b" at ")b"`,
		`[a`:       `pcre2_compile() failed: missing terminating ] for character class in "[a"`,
		`*a`:       `pcre2_compile() failed: quantifier does not follow a repeatable item in "*a" at "*a"`,
		`a\`:       `pcre2_compile() failed: \ at end of pattern in "a\"`,
		`a\Kb`:     `pcre2_compile() failed: \K is not supported by starling in "a\Kb" at "\Kb"`,
		`a(?R)`:    `pcre2_compile() failed: recursion is not supported by starling in "a(?R)" at "(?R)"`,
		`(?|a|b)`:  `pcre2_compile() failed: branch reset groups are not supported by starling in "(?|a|b)" at "(?|a|b)"`,
		`(*UTF8)a`: `pcre2_compile() failed: verbs are not supported by starling in "(*UTF8)a" at "(*UTF8)a"`,
	} {
		if _, err := Compile(pattern, false); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", pattern, err, want)
		}
	}
}

func TestBacktrackingEnds(t *testing.T) {
	x, err := Compile(`^(?=x)?(a+)+$`, false)
	if err != nil {
		t.Fatal(err)
	}
	if x.std != nil {
		t.Fatal("the pattern was meant for the other engine")
	}
	matched, err := x.Match([]byte(strings.Repeat("a", 64)+"!"), nil)
	if matched || err == nil {
		t.Errorf("got %v, %v; want an error", matched, err)
	}
}

func TestMatchWithoutGroupsDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector empties pools")
	}
	x, err := Compile(`^/images/.*\.(?:png|jpg)$`, true)
	if err != nil {
		t.Fatal(err)
	}
	subject := []byte("/images/some/where/picture.JPG")
	var c Captures
	if n := testing.AllocsPerRun(100, func() {
		if matched, err := x.Match(subject, &c); !matched || err != nil {
			t.Fatal(matched, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`^/(?<a>x)\h$`, `[[:alpha:]\d]`, `(?!a)b`, `\Qa\E`, `(?P=n)`, `a{1,2}`} {
		f.Add(s, "subject")
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		if len(pattern) > 100 || len(subject) > 100 {
			return
		}
		x, err := Compile(pattern, false)
		if err != nil {
			return
		}
		var c Captures
		if matched, err := x.Match([]byte(subject), &c); matched && err == nil {
			for n := range x.Groups() + 1 {
				c.Group(n) // must stay within the subject
			}
		}
	})
}
