package modules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/upstream"
	"starling/web/webtest"
)

const sharedServers = `zone u 64k sync; server 127.0.0.1:1; server 127.0.0.2:1;`

func startShared(t *testing.T, block string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	s, err := loadState(t, filepath.Join(t.TempDir(), "none"), "upstream u { "+block+" }", options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shownServers are the servers of u in short.
func shownServers(t *testing.T, s *webtest.Server) string {
	t.Helper()
	var list []upstream.Config
	if err := json.Unmarshal([]byte(strings.TrimPrefix(askAPI(s, "GET "+stateServers), "200 ")), &list); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range list {
		text := c.Server
		if c.Down {
			text += " down"
		}
		if c.Drain {
			text += " drain"
		}
		if c.Changed != nil {
			text += " changed"
		}
		if c.Changed != nil && (c.Changed.At == "" || len(c.Changed.Set) == 0) {
			t.Errorf("%s was changed by %+v", c.Server, c.Changed)
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, ", ")
}

// TestChangesOfASharedUpstreamOutliveAReload: also one of the configuration; without sync they do not.
func TestChangesOfASharedUpstreamOutliveAReload(t *testing.T) {
	s := startShared(t, sharedServers)
	for _, call := range []string{
		"DELETE " + stateServers + "/0", "POST " + stateServers + ` {"server":"127.0.0.3:1"}`,
		"PATCH " + stateServers + `/1 {"down":true}`,
	} {
		if got := askAPI(s, call); !strings.HasPrefix(got, "20") {
			t.Errorf("%s: %s", call, got)
		}
	}
	const want = "127.0.0.2:1 down changed, 127.0.0.3:1 changed"
	if got := shownServers(t, s); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	next := startShared(t, sharedServers+" server 127.0.0.4:1;", webtest.After(s))
	if got, want := shownServers(t, next), "127.0.0.2:1 down changed, 127.0.0.4:1, 127.0.0.3:1 changed"; got != want {
		t.Errorf("after a reload: %s, want %s", got, want)
	}
	if got := askAPI(next, "DELETE /api/9/http/upstreams/u/changes"); got != "204" {
		t.Error(got)
	}
	if got, want := shownServers(t, next), "127.0.0.2:1, 127.0.0.4:1, 127.0.0.1:1"; got != want {
		t.Errorf("reverted: %s, want %s", got, want)
	}
	alone := startShared(t, strings.Replace(sharedServers, " sync", "", 1), webtest.After(next))
	if got := askAPI(alone, "GET /api/9/http/upstreams/u/changes"); !strings.Contains(got, "UpstreamNotShared") {
		t.Error(got)
	}
}

// TestSharedZonesAreChecked.
func TestSharedZonesAreChecked(t *testing.T) {
	for block, want := range map[string]string{
		`upstream u { zone u 64k sync; server 127.0.0.1:1; }`:                                            "",
		`upstream u { zone u 64k; server 127.0.0.1:1; } upstream v { zone u sync; server 127.0.0.1:1; }`: "",
		`upstream u { zone u x sync; server 127.0.0.1:1; }`:                                              `invalid zone size "x"`,
		`upstream u { zone u 1k sync; server 127.0.0.1:1; }`:                                             `zone "u" is too small`,
		`upstream u { zone u 64k synk; server 127.0.0.1:1; }`:                                            `invalid parameter "synk"`,
		`upstream "u v" { zone u 64k sync; server 127.0.0.1:1; }`:                                        `upstream "u v" cannot be shared: its name has a space`,
	} {
		_, err := loadState(t, "", block)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", block, err, want)
		}
	}
}

// TestASharedUpstreamThatIsFull: the API says so, and nothing has changed.
func TestASharedUpstreamThatIsFull(t *testing.T) {
	s := startShared(t, "zone u 32k sync;")
	answer, added := "", 0
	for ; !strings.Contains(answer, "UpstreamOutOfMemory"); added++ {
		if answer = askAPI(s, "POST "+stateServers+` {"server":"unix:/`+strings.Repeat("x", 90)+strings.Repeat("y", added%10)+strings.Repeat("z", added/10%10)+`"}`); added > 99 {
			t.Fatalf("%d servers fit: %s", added, answer)
		}
	}
	if got := strings.Count(shownServers(t, s), "changed"); got != added-1 {
		t.Errorf("%d servers are there of %d: %s", got, added-1, answer)
	}
}

// TestTheStateOfASharedUpstream: one file has the servers as they are, those of this node, and the cluster's records; a
// restart, a reload and a configuration without sync go on with it.
func TestTheStateOfASharedUpstream(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	if err := os.WriteFile(file, []byte("server 127.0.0.1:1;\nserver 127.0.0.2:1 weight=2;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(block string, options ...webtest.Option) *webtest.Server {
		t.Helper()
		s, err := loadState(t, file, "upstream u { "+block+" }", options...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const shared, alone = "zone u 64k sync; state STATE;", "zone u 64k; state STATE;"
	s := load(shared)
	for _, call := range []string{
		"POST " + stateServers + ` {"server":"127.0.0.3:1"}`, "DELETE " + stateServers + "/0",
		"PATCH " + stateServers + `/1 {"drain":true}`,
	} {
		if got := askAPI(s, call); !strings.HasPrefix(got, "20") {
			t.Errorf("%s: %s", call, got)
		}
	}
	lines := []string{}
	for line := range strings.Lines(content(t, file)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if got, want := strings.Join(lines, ""), "server 127.0.0.2:1 weight=2 drain;\nserver 127.0.0.3:1;\n"; got != want {
		t.Errorf("the file has the servers %q, want %q", got, want)
	}
	const want = "127.0.0.2:1 drain changed, 127.0.0.3:1 changed"
	for name, next := range map[string]*webtest.Server{"restart": load(shared), "reload": load(shared, webtest.After(s))} {
		if got := shownServers(t, next); got != want {
			t.Errorf("after the %s: %s, want %s", name, got, want)
		}
	}
	again := load(shared)
	if got := askAPI(again, "DELETE /api/9/http/upstreams/u/changes"); got != "204" {
		t.Error(got)
	}
	if got, want := shownServers(t, again), "127.0.0.2:1, 127.0.0.1:1"; got != want {
		t.Errorf("reverted: %s, want %s", got, want)
	}
	if got := askAPI(again, "PATCH "+stateServers+`/1 {"down":true}`); !strings.HasPrefix(got, "20") {
		t.Error(got)
	}
	kept := shownServers(t, again)
	if got := shownServers(t, load(alone)); got != strings.ReplaceAll(kept, " changed", "") {
		t.Errorf("without sync: %s, want %s", got, kept)
	}
}
