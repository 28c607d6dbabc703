package lookup

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"starling/conf"
	"starling/lib/testkit"
	"starling/nginx/trusted"
	"starling/plan"
	"starling/side"
	"starling/side/sidetest"
	"starling/vars"
)

// client is a subject with the variable $in.
type client struct {
	sidetest.Subject
	in        string
	forwarded []string // values of X-Forwarded-For
}

var clients = side.Side[*client]{Name: "http", Many: "clients", Block: conf.HTTP}

// behind believes what a client was forwarded for.
func behind(c *client, from netip.Addr, networks *trusted.Networks, recursive bool) netip.Addr {
	to, _ := trusted.Address(netip.AddrPortFrom(from, 0), networks, recursive, func(yield func([]byte) bool) {
		for _, v := range slices.Backward(c.forwarded) {
			if !yield([]byte(v)) {
				return
			}
		}
	})
	return to.Addr()
}

// load binds the lines of an http block.
func load(t testing.TB, text string) (*plan.Plan, *conf.Bound) {
	t.Helper()
	module := &conf.Module{Name: "test", New: conf.NewOf[struct{}], Clone: conf.CloneOf[struct{}],
		Directives: append(Directives(&clients, behind), conf.Directive{Name: "http", In: conf.Main, Opens: conf.HTTP})}
	binder, err := conf.NewBinder([]*conf.Module{module})
	if err != nil {
		t.Fatal(err)
	}
	p := plan.New()
	in := vars.Variable[*client]{Name: "in", Append: func(c *client, _ string, dst []byte) ([]byte, bool) { return append(dst, c.in...), true }}
	for _, v := range append(side.CaptureVariables[*client](), in) {
		must(t, clients.Variables(p).Declare(v))
	}
	fsys := fstest.MapFS{"etc/x.conf": {Data: []byte("http {\n" + text + "\n}\n")}, "etc/more": {Data: []byte("included yes;")}}
	tree, err := conf.Parse(fsys, "/etc/x.conf")
	if err != nil {
		t.Fatal(err)
	}
	return p, binder.Bind(tree, p)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compile gives a function that evaluates a text for a client.
func compile(t testing.TB, conf, text string) func(c *client) string {
	t.Helper()
	p, bound := load(t, conf)
	must(t, bound.Err())
	x, err := clients.Variables(p).Compile(text, nil)
	must(t, err)
	if unknown := clients.Variables(p).Resolve(); unknown != nil {
		t.Fatal(unknown[0])
	}
	return func(c *client) string {
		if c.Plan() == nil {
			c.Begin(p, clients.Slots(p))
		}
		return string(x.Append(nil, c))
	}
}

func TestMap(t *testing.T) {
	const hosts = `map $in $v { hostnames; default none; example.com exact; *.example.com left; example.* right; .dot.org both;
		*.deep.example.com longer; ~^RE\.ORG$ sensitive; ~*^www\.re\.org$ insensitive; ~^(\w+)\.capture$ "got $1"; }`
	const plain = `map "$in" $v { default none; "" empty; a 1; B 2; \default escaped; \~x tilde; *.com literal; $in dollar; other $other; include more; }
		map $in $other { other "from $in"; }`
	for _, c := range []struct{ conf, in, want string }{
		{hosts, "example.com", "exact"},
		{hosts, "EXAMPLE.com", "exact"},
		{hosts, "example.com.", "exact"},
		{hosts, "www.example.com", "left"},
		{hosts, "a.b.example.com", "left"},
		{hosts, "x.deep.example.com", "longer"},
		{hosts, "example.org", "right"},
		{hosts, "dot.org", "both"},
		{hosts, "www.dot.org", "both"},
		{hosts, "RE.ORG", "sensitive"},
		{hosts, "re.org", "none"},
		{hosts, "WWW.RE.org", "insensitive"},
		{hosts, "hello.capture", "got hello"},
		{hosts, "", "none"},
		{hosts, ".", "none"},
		{plain, "", "empty"},
		{plain, "a", "1"},
		{plain, "A", "1"},
		{plain, "b", "2"},
		{plain, "default", "escaped"},
		{plain, "~x", "tilde"},
		{plain, "*.com", "literal"},
		{plain, "x.com", "none"},
		{plain, "other", "from other"},
		{plain, "included", "yes"},
		{plain, "a.", "none"},
		{`map $in $v { a 1; }`, "b", ""},
		{`map $in $v { default d; ~^$ m; ~.* any; }`, "", "d"},
		{`map $in $v { default d; ~^$ m; ~.* any; }`, "x", "any"},
		{`map $in $v { default d; ~*^$ m; "" empty; }`, "", "empty"},
		{`map $in $v { ~^ m; }`, "", ""},
		{`map $in $v { hostnames; default d; ~^$ m; }`, ".", "d"},
	} {
		if got := compile(t, c.conf, "$v")(&client{in: c.in}); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestValuesAreFoundOnceUnlessVolatile(t *testing.T) {
	value := compile(
		t,
		`map $in $once { default "at $in"; } map $in $each { volatile; default "at $in"; } geo $in $geo { 10.0.0.0/8 a; default b; }`,
		"$once, $each, $geo",
	)
	c := &client{in: "10.0.0.1"}
	if got := value(c); got != "at 10.0.0.1, at 10.0.0.1, a" {
		t.Fatal(got)
	}
	c.in = "1.1.1.1"
	if got := value(c); got != "at 10.0.0.1, at 1.1.1.1, a" {
		t.Error(got)
	}
}

func TestMapsThatNameEachOtherEnd(t *testing.T) {
	c := &client{}
	if got := compile(t, `map $b $a { default $b; } map $a $b { default "x$a"; }`, "$a")(c); strings.Trim(got, "x") != "" {
		t.Error(got)
	}
	if len(c.Lines) == 0 || !strings.Contains(c.Lines[0], `cycle while evaluating variable "`) || c.Nesting != 0 {
		t.Errorf("log %q, nesting %d", c.Lines, c.Nesting)
	}
}

func TestGeo(t *testing.T) {
	const nets = `geo $v { default d; 127.0.0.0/8 loop; 127.0.0.1 one; 192.0.2.0/24 test; 10.0.0.0/8 ten; delete 10.0.0.0/8; 2001:db8::/32 six; }`
	const none = `geo $v { default d; 255.255.255.255 none; }`
	const of = `geo $in $v { default d; 192.0.2.0/24 test; ::1 six; 255.255.255.255 none; }`
	const proxied = `geo $v { default d; proxy 127.0.0.1; proxy 10.0.0.0/8; 192.0.2.0/24 test; 10.0.0.0/8 ten; }`
	const deep = `geo $v { proxy_recursive; default d; proxy 127.0.0.1; proxy 10.0.0.0/8; 192.0.2.0/24 test; 10.0.0.0/8 ten; }`
	const chain = "192.0.2.1, 10.0.0.1"
	for _, c := range []struct{ conf, addr, in, forwarded, want string }{
		{nets, "127.0.0.1", "", "", "one"},
		{nets, "127.0.0.2", "", "", "loop"},
		{nets, "::ffff:127.0.0.2", "", "", "loop"},
		{nets, "10.0.0.1", "", "", "d"},
		{nets, "2001:db8::1", "", "", "six"},
		{nets, "2001:db9::1", "", "", "d"},
		{nets, "", "", "", "d"},
		{none, "", "", "", "none"},
		{none, "1.1.1.1", "", "", "d"},
		{of, "", "192.0.2.7", "", "test"},
		{of, "", "::ffff:192.0.2.7", "", "test"},
		{of, "", "::1", "", "six"},
		{of, "", "nonsense", "", "none"},
		{of, "", "", "", "none"},
		{proxied, "127.0.0.1", "", chain, "ten"},
		{proxied, "192.0.2.9", "", chain, "test"},
		{proxied, "127.0.0.1", "", "", "d"},
		{deep, "127.0.0.1", "", chain, "test"},
		{deep, "127.0.0.1", "", "", "d"},
		{`geo $v { 10.0.0.0/8 ten; }`, "11.0.0.1", "", "", ""},
		{`geo $v { 0.0.0.0/0 all; default d; }`, "11.0.0.1", "", "", "d"},
	} {
		x := &client{in: c.in}
		if c.addr != "" {
			x.Addr = netip.MustParseAddr(c.addr)
		}
		if c.forwarded != "" {
			x.forwarded = []string{c.forwarded}
		}
		if got := compile(t, c.conf, "$v")(x); got != c.want {
			t.Errorf("%s\n%q %q %q: got %q, want %q", c.conf, c.addr, c.in, c.forwarded, got, c.want)
		}
	}
}

func TestGeoRanges(t *testing.T) {
	for _, c := range []struct{ lines, addr, want string }{
		{"127.0.0.0-127.255.255.255 a;", "127.1.2.3", "a"},
		{"127.0.0.0-127.255.255.255 a;", "128.0.0.0", "d"},
		{"127.0.0.0-127.0.0.255 a; 127.0.0.1-127.0.0.2 b; 127.0.0.1-127.0.0.1 c;", "127.0.0.1", "c"},
		{"127.0.0.0-127.0.0.255 a; 127.0.0.1-127.0.0.2 b; 127.0.0.1-127.0.0.1 c;", "127.0.0.2", "b"},
		{"127.0.0.0-127.0.0.255 a; 127.0.0.1-127.0.0.2 b; 127.0.0.1-127.0.0.1 c;", "127.0.0.3", "a"},
		{"127.0.0.0-127.0.0.255 a; 127.0.0.1-127.0.0.2 b; 127.0.0.1-127.0.0.1 c;", "127.0.0.0", "a"},
		{"127.0.0.1-127.0.0.255 a; 127.0.0.0-127.0.0.0 b;", "127.0.0.0", "b"},
		{"10.10.3.0-10.11.2.255 a; 10.12.3.0-10.13.2.255 b; delete 10.10.3.0-10.11.2.255;", "10.11.0.1", "d"},
		{"10.10.3.0-10.11.2.255 a; 10.12.3.0-10.13.2.255 b; delete 10.10.3.0-10.11.2.255;", "10.13.0.1", "b"},
		{"0.0.0.0-255.255.255.254 a;", "", "d"},
		{"0.0.0.0-255.255.255.255 a;", "", "a"},
		{"0.0.0.0-255.255.255.255 a;", "::1", "a"},
	} {
		x := &client{}
		if c.addr != "" {
			x.Addr = netip.MustParseAddr(c.addr)
		}
		if got := compile(t, "geo $v { ranges; default d; "+c.lines+" }", "$v")(x); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.lines, c.addr, got, c.want)
		}
	}
}

func TestSplitClients(t *testing.T) {
	// Computed by an independent writing of the published algorithm.
	for text, want := range map[string]uint32{"": 0, "a": 0x92685f5e, "ab": 0x1aa14063, "abc": 0x13577c9b, "abcd": 0x26873021, "hello world": 0x44a81419} {
		if got := murmur2([]byte(text)); got != want {
			t.Errorf("murmur2(%q) = %#x, want %#x", text, got, want)
		}
	}
	value := compile(t, `split_clients $in $v { 50% half; 0.5% few; * rest; } split_clients $in $w { 99.99% all; }`, "$v")
	counts := map[string]int{}
	for i := range 20000 {
		counts[value(&client{in: fmt.Sprint("client", i)})]++
	}
	if h, f := counts["half"], counts["few"]; h < 9500 || h > 10500 || f < 50 || f > 150 || h+f+counts["rest"] != 20000 {
		t.Errorf("%v", counts)
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		`map $in v {}`:                                              `invalid variable name "v" in /etc/x.conf:2`,
		`map $in $v { a; }`:                                         `invalid number of the map parameters in /etc/x.conf:2`,
		`map $in $v { default 1; default 2; }`:                      `duplicate default map parameter in /etc/x.conf:2`,
		`map $in $v { a 1; A 2; }`:                                  `conflicting parameter "a" in /etc/x.conf:2`,
		`map $in $v { hostnames; a.*.com 2; }`:                      `invalid hostname or wildcard "a.*.com" in /etc/x.conf:2`,
		`map $in $v { hostnames; a..com 2; }`:                       `invalid hostname or wildcard "a..com" in /etc/x.conf:2`,
		`map $in $v { hostnames; .a.com 1; *.a.com 2; }`:            `conflicting parameter "*.a.com" in /etc/x.conf:2`,
		"map $in $v {\n  ~( 1; }":                                   `pcre2_compile() failed: missing closing parenthesis in "(" in /etc/x.conf:3`,
		`geo $in v {}`:                                              `invalid variable name "v" in /etc/x.conf:2`,
		`geo in $v {}`:                                              `invalid variable name "in" in /etc/x.conf:2`,
		`geo $v { 1.2.3 x; }`:                                       `invalid network "1.2.3" in /etc/x.conf:2`,
		`geo $v { 1.2.3.0/24 x; ranges; }`:                          `the "ranges" directive must be the first directive inside "geo" block in /etc/x.conf:2`,
		`geo $v { ranges; 1.2.3.4 x; }`:                             `invalid range "1.2.3.4" in /etc/x.conf:2`,
		`geo $v { ranges; 1.2.3.4-1.2.3.3 x; }`:                     `invalid range "1.2.3.4-1.2.3.3" in /etc/x.conf:2`,
		`geo $v { ranges; 1.0.0.0-1.0.0.9 x; 1.0.0.5-1.0.0.20 y; }`: `range "1.0.0.5-1.0.0.20" overlaps another one in /etc/x.conf:2`,
		`geo $v { a b c; }`:                                         `invalid number of the geo parameters in /etc/x.conf:2`,
		`split_clients $in $v { 10 a; }`:                            `invalid percent value "10" in /etc/x.conf:2`,
		`split_clients $in $v { 0% a; }`:                            `invalid percent value "0%" in /etc/x.conf:2`,
		`split_clients $in $v { 60% a; 41% b; }`:                    `percent total is greater than 100% in /etc/x.conf:2`,
		`split_clients $in $v { * a; 1% b; }`:                       `percent total is greater than 100% in /etc/x.conf:2`,
		`geo $v { proxy_recursive; ranges; default a; default b; }`: `duplicate default geo range value: "b", old value: "a" in /etc/x.conf:2`,
		`map $in $v { a 1; } map $in $in { a 1; }`:                  `the duplicate "in" variable in /etc/x.conf:2`,
		"geo $v { 10.0.0.0/8 a;\n 10.0.0.0/8 b; 10.1.0.0/8 c; delete 11.0.0.0/8; }\nbad;": `unknown directive "bad" in /etc/x.conf:4`,
	} {
		_, bound := load(t, text)
		if err := bound.Err(); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	_, bound := load(
		t,
		"geo $v { 10.0.0.0/8 a;\n 10.0.0.0/8 b;\n 10.1.0.0/8 c;\n delete 11.0.0.0/8; }\ngeo $r { ranges; 1.0.0.0-1.0.0.1 a;\n1.0.0.0-1.0.0.1 b; delete 2.0.0.0-2.0.0.1; }",
	)
	want := []string{
		`duplicate network "10.0.0.0/8", value: "b", old value: "a" in /etc/x.conf:3`,
		`low address bits of 10.1.0.0/8 are meaningless in /etc/x.conf:4`,
		`duplicate network "10.1.0.0/8", value: "c", old value: "b" in /etc/x.conf:4`,
		`no network "11.0.0.0/8" to delete in /etc/x.conf:5`,
		`duplicate range "1.0.0.0-1.0.0.1", value: "b", old value: "a" in /etc/x.conf:7`,
		`no address range "2.0.0.0-2.0.0.1" to delete in /etc/x.conf:7`,
	}
	if got := strings.Split(bound.Warnings.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	p, bound := load(t, `map $in $m { volatile; hostnames; default d; *.example.com left; ~^a a; } geo $g { volatile; 10.0.0.0/8 ten; }
		geo $in $r { volatile; ranges; 10.0.0.0-10.255.255.255 ten; } split_clients $in $s { 50% a; * b; }`)
	must(t, bound.Err())
	x, err := clients.Variables(p).Compile("$m$g$r$s", nil)
	must(t, err)
	clients.Variables(p).Resolve()
	c := &client{in: "www.EXAMPLE.com"}
	c.Addr = netip.MustParseAddr("10.0.0.1")
	c.Begin(p, clients.Slots(p))
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = x.Append(dst[:0], c) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
