package modules_test

import (
	"strings"
	"testing"

	"starling/modules/shared/geoip2/geoip2test"
	streamcore "starling/modules/stream/core"
	streamgeoip2 "starling/modules/stream/geoip2"
	"starling/modules/stream/returns"
	"starling/modules/web/core"
	"starling/modules/web/geoip2"
	"starling/modules/web/realip"
	"starling/stream/streamtest"
	"starling/web"
	"starling/web/webtest"
)

var geoip2Families = []*web.Module{&core.Module, &realip.Module, &geoip2.Module, webtest.Say()}

// geoDatabase has all types of values.
var geoDatabase = string(geoip2test.Database(map[string]map[string]any{
	"192.0.2.0/24": {
		"country": map[string]any{"iso_code": "AT", "names": map[string]any{"en": "Austria", "de": "Österreich"}},
		"cities":  geoip2test.Array{"Wien", map[string]any{"name": "Graz"}},
		"bytes":   []byte("a\x00b"), "yes": true, "no": false, "float": float32(1.5), "double": -2.25, "int32": int32(-7),
		"uint16": uint16(65535), "uint32": uint32(1 << 31), "uint64": uint64(1 << 63), "uint128": geoip2test.Uint128{0: 1, 15: 2},
		"1": "the key 1", "empty": "",
	},
	"198.51.100.7/32": {"country": map[string]any{"iso_code": "CH"}},
	"2001:db8::/32":   {"country": map[string]any{"iso_code": "DE"}},
	"127.0.0.0/8":     {"country": map[string]any{"iso_code": "LO"}},
}))

var withGeoDatabase = webtest.File("/geo.mmdb", geoDatabase)

func TestGeoIP2Values(t *testing.T) {
	for path, want := range map[string]string{
		"country iso_code": "AT", "country names de": "Österreich", "bytes": "a\x00b", "yes": "1", "no": "0",
		"float": "1.50000", "double": "-2.25000", "int32": "-7", "uint16": "65535", "uint32": "2147483648",
		"uint64": "9223372036854775808", "uint128": "0x01000000000000000000000000000002",
		"cities 0": "Wien", "cities 1 name": "Graz", "cities -1 name": "Graz", "cities -2": "Wien", "1": "the key 1", "empty": "",
		// no value
		"country": "", "cities": "", "country none": "", "cities 2": "", "cities -3": "", "cities x": "", "yes x": "", "none": "",
		"default=d country": "d", "default=d cities 2": "d", "default=d country iso_code": "AT", "default=d yes x": "d",
	} {
		s := webtest.Start(t, geoip2Families, `set_real_ip_from unix:;
			geoip2 /geo.mmdb { $v `+path+`; } server { say "<$v|$v>"; }`, withGeoDatabase)
		if got := s.Get("/", "X-Real-IP: 192.0.2.1"); !strings.HasSuffix(got, "<"+want+"|"+want+">") {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestGeoIP2Addresses(t *testing.T) {
	const values = `geoip2 /geo.mmdb { $code default=none country iso_code; $of source=$arg_ip country iso_code;
		$ring source=$ring country iso_code; } set_real_ip_from unix:; server { say "$code $of$ring"; } `
	for _, c := range []struct{ more, target, headers, want string }{
		{"", "/", "X: y", "none "}, // a unix socket
		{"", "/", "X-Real-IP: 198.51.100.7", "CH "},
		{"", "/", "X-Real-IP: 198.51.100.8", "none "},
		{"", "/", "X-Real-IP: 2001:db8::1", "DE "},
		{"", "/", "X-Real-IP: ::ffff:192.0.2.9", "AT "},
		{"", "/?ip=192.0.2.1", "X: y", "none AT"},
		{"", "/?ip=2001:db8:1::", "X: y", "none DE"},
		{"", "/?ip=192.0.2", "X: y", "none "},
		{"", "/", "X-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1", "none "},
		{"geoip2_proxy 10.0.0.0/8;", "/", "X-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1", "AT "},
		{"geoip2_proxy 10.0.0.0/8;", "/", "X-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.2", "none "},
		{"geoip2_proxy 10.0.0.0/8; geoip2_proxy_recursive on;", "/", "X-Real-IP: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.2", "AT "},
		{"geoip2_proxy 10.0.0.0/8; geoip2_proxy_recursive on;", "/?ip=10.0.0.1", "X-Real-IP: 11.0.0.1\r\nX-Forwarded-For: 192.0.2.1", "none "},
	} {
		s := webtest.Start(t, geoip2Families, values+c.more, withGeoDatabase)
		if got := s.Get(c.target, c.headers); !strings.HasSuffix(got, "\r\n\r\n"+c.want) {
			t.Errorf("%s %s %q:\n%s\nwant %q", c.more, c.target, c.headers, got, c.want)
		}
	}
}

// TestGeoIP2WithoutIPv6: a database for IPv4 is not damaged because it has no answer for IPv6.
func TestGeoIP2WithoutIPv6(t *testing.T) {
	file := string(geoip2test.DatabaseIPv4(map[string]map[string]any{"192.0.2.0/24": {"code": "AT"}}))
	s := webtest.Start(t, geoip2Families, `geoip2 /v4.mmdb { $code source=$arg_ip code; } server { say "<$code>"; }`,
		webtest.File("/v4.mmdb", file))
	for ip, want := range map[string]string{"192.0.2.1": "<AT>", "2001:db8::1": "<>", "192.0.3.1": "<>"} {
		if got := s.Get("/?ip=" + ip); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", ip, got)
		}
	}
	if lines := s.Log.Lines(); len(lines) > 0 {
		t.Errorf("log: %q", lines)
	}
}

func TestGeoIP2Metadata(t *testing.T) {
	s := webtest.Start(t, geoip2Families, `geoip2 /geo.mmdb { auto_reload 1h; $built metadata build_epoch;
		$checked metadata last_check; $changed metadata last_change; } server { say "$built $checked $changed"; }`, withGeoDatabase)
	fields := strings.Fields(s.LoopbackClient().Do("GET / HTTP/1.1\r\nHost: a\r\n\r\n").Text)
	if len(fields) != 3 || fields[0] != "1700000000" || len(fields[1]) != 10 || fields[1] != fields[2] {
		t.Errorf("got %q", fields)
	}
}

func TestGeoIP2Stream(t *testing.T) {
	s := streamtest.Start(t, `stream { geoip2 /geo.mmdb { $code country iso_code; $of source=$pid country iso_code; }
		server { listen 1; return "<$code$of>"; } }`, streamtest.Files{"geo.mmdb": []byte(geoDatabase)},
		&streamcore.Module, &streamgeoip2.Module, &returns.Module)
	if got := s.Ask(0); got != "<LO>" {
		t.Errorf("got %s", got)
	}
}

func TestGeoIP2Problems(t *testing.T) {
	for text, want := range map[string]string{
		"\ngeoip2 /none.mmdb { $a b; }":                        `MMDB_open("/none.mmdb") failed (2: No such file or directory) in /test.conf:2`,
		"\ngeoip2 /empty.mmdb { $a b; }":                       `MMDB_open("/empty.mmdb") failed (`,
		"\ngeoip2 /text.mmdb { $a b; }":                        `MMDB_open("/text.mmdb") failed (`,
		"\ngeoip2 /half.mmdb { $a b; }":                        `MMDB_open("/half.mmdb") failed (`,
		"geoip2 /geo.mmdb { }\ngeoip2 /geo.mmdb { }":           `a duplicate geoip2 database "/geo.mmdb" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n a b; }":                          `invalid setting "a" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a; }":                           `"$a" has no path of a value in the database, such as country iso_code in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a default=x; }":                 `"$a" has no path of a value in the database, such as country iso_code in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a default=x default=y b; }":     `default has already been declared for "$a" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a source=$pid source=$pid b; }": `source has already been declared for "$a" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a source=pid b; }":              `invalid source variable name "pid" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a source=$nosuch b; }":          `unknown "nosuch" variable in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a other=x b; }":                 `invalid setting "other=x" for "$a" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a default= b; }":                `invalid setting "default=" for "$a" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $a metadata built; }":            `metadata of "$a" must be build_epoch, last_check or last_change in /test.conf:2`,
		"geoip2 /geo.mmdb {\n auto_reload; }":                  `invalid number of arguments for auto_reload in /test.conf:2`,
		"geoip2 /geo.mmdb {\n auto_reload x; }":                `invalid interval for auto_reload "x" in /test.conf:2`,
		"geoip2 /geo.mmdb {\n $remote_addr b; }":               `the duplicate "remote_addr" variable in /test.conf:2`,
		"geoip2_proxy x;":                                      `invalid network "x" in /test.conf:1`,
		"geoip2_proxy_recursive x;":                            `invalid value "x" in "geoip2_proxy_recursive" directive, it must be "on" or "off" in /test.conf:1`,
		"server { geoip2_proxy 10.0.0.0/8; }":                  `"geoip2_proxy" directive is not allowed here in /test.conf:1`,
		"server { geoip2 /geo.mmdb { } }":                      `"geoip2" directive is not allowed here in /test.conf:1`,
	} {
		_, err := webtest.Load(t, geoip2Families, text, withGeoDatabase, webtest.File("/empty.mmdb", ""),
			webtest.File("/text.mmdb", "text"), webtest.File("/half.mmdb", geoDatabase[:len(geoDatabase)/2]))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if open := strings.HasSuffix(want, "("); got != want && !(open && strings.HasPrefix(got, want) && strings.HasSuffix(got, ") in /test.conf:2")) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
