package upstream

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	servers "starling/upstream"
	"starling/zone/kinds"
)

var (
	ofHTTP   = &reader{params: map[string]string{"route": "doc", "drain": "doc"}, defaultPort: 80}
	ofStream = &reader{}
)

// TestWhatAPeerSendsIsChecked: as a request to the API, and whether it belongs to its key.
func TestWhatAPeerSendsIsChecked(t *testing.T) {
	record := func(server, rest string) string {
		return fmt.Sprintf(`{"upstream":"u","server":%q,"node":"n","host":"h",%s}`, server, rest)
	}
	long := strings.Repeat("x", 3000)
	const one = "10.0.0.1:80"
	for _, c := range []struct {
		name, key, value, want string
	}{
		{"added", one, record(one, `"did":"added","set":{"server":"10.0.0.1","weight":3,"route":"a","drain":true}`), ""},
		{"changed", one, record(one, `"did":"changed","set":{"down":true,"fail_timeout":"5s"}`), ""},
		{"removed", one, record(one, `"did":"removed"`), ""},
		{"of a later release", one, record(one, `"did":"removed","why":["because"]`), ""},
		{"who made it", one, record(one, `"did":"added","set":{"server":"10.0.0.1"},"last":{"did":"changed","set":{"weight":3}},"earlier":[{"ms":1,"node":"m","host":"g","did":"added"}]`), ""},
		{"a strange last change", one, record(one, `"did":"removed","last":{"did":"x"}`), `the last change: invalid "did" "x"`},
		{"an earlier weight of 0", one, record(one, `"did":"removed","earlier":[{"did":"changed","set":{"weight":0}}]`), "an earlier change: invalid weight"},
		{"an earlier address", one, record(one, `"did":"removed","earlier":[{"did":"changed","set":{"server":"a"}}]`), "an earlier change: it sets a parameter that cannot be changed"},
		{"an earlier list", one, record(one, `"did":"removed","earlier":[{"did":"changed","set":[]}]`), "an earlier change: invalid JSON"},
		{"an earlier control character", one, record(one, `"did":"removed","earlier":[{"did":"added","node":"\n"}]`), "an earlier change: it has a control character"},
		{"an earlier long host", one, record(one, `"did":"removed","earlier":[{"did":"added","host":"`+long+`"}]`), "an earlier change: a name in it is too long"},
		{"an earlier time", one, record(one, `"did":"removed","earlier":[{"did":"added","ms":-1}]`), "an earlier change: its time is invalid"},
		{"a long history", one, record(one, `"did":"removed","earlier":[`+strings.Repeat(`{"did":"added"},`, 4)+`{"did":"added"}]`), "it has 5 earlier changes, more than 4"},
		{"a name", "app:80", record("app:80", `"did":"added","set":{"server":"APP"}`), ""},
		{"a service", "app/http", record("app/http", `"did":"added","set":{"server":"app","service":"http"}`), ""},
		{"found by DNS", "app:80 " + one, record("app:80 "+one, `"template":"app:80","did":"changed","set":{"drain":true}`), ""},
		{"no JSON", one, `x`, "it is not a change of a server"},
		{"a list", one, `[]`, "it is not a change of a server"},
		{"nothing", one, `{}`, "it is of another server"},
		{"another key", "10.0.0.2:80", record(one, `"did":"removed"`), "it is of another server"},
		{"another upstream", one, strings.Replace(record(one, `"did":"removed"`), `"u"`, `"v"`, 1), "it is of another server"},
		{"an upstream with a space", "x " + one, strings.Replace(record(one, `"did":"removed"`), `"u"`, `"u x"`, 1), "it is of another server"},
		{"another address", one, record(one, `"did":"added","set":{"server":"10.0.0.9:80"}`), "it adds another server"},
		{"another template", "a:80 " + one, record("a:80 "+one, `"template":"b:80","did":"removed"`), "it is of a server of another template"},
		{"no did", one, record(one, `"set":{"down":true}`), `invalid "did" "": it must be`},
		{"a strange did", one, record(one, `"did":"`+long+`","set":{"down":true}`), `invalid "did" "` + long[:40] + `": it must be`},
		{"nothing set", one, record(one, `"did":"changed"`), "json error"},
		{"a list set", one, record(one, `"did":"changed","set":[1]`), "invalid JSON: expected an object"},
		{"an unknown parameter", one, record(one, `"did":"changed","set":{"color":"red"}`), `unknown parameter "color"`},
		{"twice", one, record(one, `"did":"changed","set":{"down":true,"down":false}`), `duplicate parameter "down"`},
		{"a weight of 0", one, record(one, `"did":"changed","set":{"weight":0}`), "invalid weight"},
		{"a huge weight", one, record(one, `"did":"changed","set":{"weight":99999999}`), "invalid weight"},
		{"a route that splits headers", one, record(one, `"did":"changed","set":{"route":"a; b"}`), "invalid route"},
		{"a backup now", one, record(one, `"did":"changed","set":{"backup":true}`), "it sets a parameter that cannot be changed"},
		{"no port", "unix:", record("unix:", `"did":"added","set":{"server":"unix:"}`), `invalid server address "unix:"`},
		{"a control character", "a\nb", record("a\nb", `"did":"removed"`), "it has a control character"},
		{"a long name", long, record(long, `"did":"removed"`), "a name in it is too long"},
		{"a long host", one, strings.Replace(record(one, `"did":"removed"`), `"h"`, `"`+long+`"`, 1), "a name in it is too long"},
	} {
		err := ofHTTP.check([]byte("u "+c.key), []byte(c.value))
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := ofStream.check([]byte("u "+one), []byte(record(one, `"did":"changed","set":{"drain":true}`))); err == nil {
		t.Error("stream has no sessions to drain")
	}
}

// TestEditsAreReadAsTheyWereWritten: on both sides, with all parameters.
func TestEditsAreReadAsTheyWereWritten(t *testing.T) {
	address := servers.TCP(netip.MustParseAddrPort("10.0.0.1:80"))
	added := servers.NewSettings("10.0.0.1:80", address)
	added.Weight, added.MaxConns, added.MaxFails, added.Backup = 3, 4, 5, true
	added.FailTimeout, added.SlowStart, added.Down = 1500*time.Millisecond, time.Minute, true
	routed := added
	routed.Route, routed.Drain = "r", true
	template := servers.NewSettings("app", servers.Address{})
	template.Host, template.Port, template.Service = "app", 80, "http"
	whole := func(s servers.Settings) *servers.Edit {
		return &servers.Edit{Key: s.Key(), Added: true, Settings: s, Change: s.Whole(), Node: "n", Host: "h"}
	}
	down := true
	made := []servers.Made{
		{AtMS: 1_800_000_000_000, Node: "n", Host: "h", Did: "changed", Change: servers.Change{Down: &down}},
		{AtMS: 1, Did: "added"},
	}
	for _, c := range []struct {
		r *reader
		e *servers.Edit
	}{
		{ofHTTP, whole(routed)}, {ofStream, whole(added)}, {ofHTTP, whole(template)},
		{ofHTTP, &servers.Edit{Key: "10.0.0.1:80", Removed: true, Node: "n"}},
		{ofStream, &servers.Edit{Key: "10.0.0.1:80", Change: servers.Change{}.With(servers.Change{Down: &down})}},
		{ofHTTP, &servers.Edit{Key: "app:80 10.0.0.1:80", Template: "app:80", Change: servers.Change{Drain: &down}}},
		{ofHTTP, &servers.Edit{Key: "10.0.0.1:80", Change: servers.Change{Drain: &down}, Did: "changed", Last: servers.Change{Drain: &down}}},
		{ofHTTP, &servers.Edit{Key: "10.0.0.1:80", Removed: true, Did: "removed", Earlier: made}},
		{ofHTTP, &servers.Edit{Key: "10.0.0.1:80", Change: servers.Change{Down: &down, Drain: &down}, Did: "changed", Last: servers.Change{Down: &down}, Earlier: made}},
	} {
		value, err := c.r.record("u", c.e)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := c.r.edit(kinds.Pair{Key: pairKey("u", c.e.Key), Value: value})
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if c.e.Did != "" && (got.Did != c.e.Did || !reflect.DeepEqual(got.Last, c.e.Last) || !reflect.DeepEqual(got.Earlier, c.e.Earlier)) {
			t.Errorf("%s was read as %+v, written was %+v", value, got, c.e)
		}
		again, err := c.r.record("u", got)
		if err != nil || string(again) != string(value) || got.Settings.Key() != c.e.Settings.Key() || len(value) > 1000 {
			t.Errorf("%s was read as %s, %+v, %v", value, again, got, err)
		}
	}
}

// FuzzEdit: whatever a peer sends is rejected or can be followed, and is written again as an edit that is accepted.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("u 10.0.0.1:80"), []byte(`{"upstream":"u","server":"10.0.0.1:80","did":"added","set":{"server":"10.0.0.1:80"}}`))
	f.Add([]byte("u a:80 10.0.0.1:80"), []byte(`{"upstream":"u","server":"a:80 10.0.0.1:80","template":"a:80","did":"changed","set":{}}`))
	f.Add([]byte("u 10.0.0.1:80"), []byte(`{"upstream":"u","server":"10.0.0.1:80","did":"changed","set":{"down":true,"drain":false},`+
		`"last":{"did":"changed","set":{"down":true}},"earlier":[{"ms":5,"node":"n","did":"removed"}]}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, rec, err := ofHTTP.edit(kinds.Pair{Key: key, Value: value})
		if err != nil {
			return
		}
		again, err := ofHTTP.record(rec.Upstream, e)
		if err != nil {
			t.Fatal(err)
		}
		if err := ofHTTP.check(key, again); err != nil {
			t.Fatalf("%s is rejected: %v", again, err)
		}
	})
}
