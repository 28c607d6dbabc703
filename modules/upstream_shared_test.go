package modules_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
	"starling/upstream"
	"starling/web/webtest"
	"starling/zone"
	"starling/zone/kinds"
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

// peerOf is another node of the cluster with the shared zone u: it sends a record.
func peerOf(s *webtest.Server) (send func(t *testing.T, server, value string)) {
	var here zone.Shared
	for _, z := range s.Plan.Zones.All() {
		if shared, ok := z.Value.(interface{ Unwrap() zone.Shared }); ok && z.Name == "u" {
			here = shared.Unwrap()
		}
	}
	peer := kinds.NewServers(kinds.ServersConfig{Name: "u", Bytes: 1 << 20})
	sequence := uint64(0)
	return func(t *testing.T, server, value string) {
		t.Helper()
		now := s.Plan.Clock.Now()
		if err := peer.Set([]byte("u "+server), []byte(value), 0, now); err != nil {
			t.Fatal(err)
		}
		peer.Flush(now)
		sequence++
		payload, _, _, ok := peer.Journal().Frame(sequence)
		if !ok {
			t.Fatal("the frame is missing")
		}
		if _, err := here.Apply(1, sequence, payload, 0, now); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAPeerIsFollowedAtOnce: when its frame is applied, the servers are what it says, unless this node cannot have
// them.
func TestAPeerIsFollowedAtOnce(t *testing.T) {
	s := startShared(t, "random; "+sharedServers)
	send := peerOf(s)
	send(t, "127.0.0.3:1", `{"upstream":"u","server":"127.0.0.3:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.3:1","weight":2}}`)
	send(t, "127.0.0.1:1", `{"upstream":"u","server":"127.0.0.1:1","did":"changed","node":"n","host":"h","set":{"down":true}}`)
	send(t, "127.0.0.2:1", `{"upstream":"u","server":"127.0.0.2:1","did":"removed","node":"n","host":"h"}`)
	if lines := s.Log.Lines(); len(lines) > 0 {
		t.Errorf("the log has %q", lines)
	}
	send(t, "app:80", `{"upstream":"u","server":"app:80","did":"added","node":"n","host":"h","set":{"server":"app"}}`)
	send(t, "127.0.0.4:1", `{"upstream":"u","server":"127.0.0.4:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.4:1","backup":true}}`)
	send(t, "127.0.0.5:1", `{"upstream":"u","server":"127.0.0.5:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.5:1","weight":0}}`)
	lines := s.Log.Lines()
	const told = `cannot change server "app:80" of upstream "u" as node n (h) did: no resolver defined to resolve "app"`
	if len(lines) != 1 || !strings.Contains(lines[0], told) {
		t.Errorf("the log has %q", lines)
	}
	if got, want := shownServers(t, s), "127.0.0.1:1 down changed, 127.0.0.3:1 changed"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var made []struct{ Server string }
	text := strings.TrimPrefix(askAPI(s, "GET /api/9/http/upstreams/u/changes"), "200 ")
	if err := json.Unmarshal([]byte(text), &made); err != nil || len(made) != 5 {
		t.Errorf("the API shows the changes %+v, %v", made, err) // what was rejected is not there
	}
}

// TestAFailedReloadLeavesASharedUpstream: the running configuration still follows the peers and saves to its state file,
// and one that is about to end does so through it.
func TestAFailedReloadLeavesASharedUpstream(t *testing.T) {
	for _, failing := range []string{"zone u 64k sync; state STATE;", "zone u 64k; state STATE;", "zone u 64k sync; server 127.0.0.1:1;"} {
		file := filepath.Join(t.TempDir(), "u.conf")
		const shared = "upstream u { zone u 64k sync; state STATE; }"
		first, err := loadState(t, file, shared)
		if err != nil {
			t.Fatal(err)
		}
		s, err := loadState(t, file, shared, webtest.After(first))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loadState(t, file, "upstream u { "+failing+" }", webtest.After(s), lastStepFails); !errors.Is(err, errLastStep) {
			t.Fatalf("%s: %v", failing, err)
		}
		peerOf(s)(t, "127.0.0.3:1", `{"upstream":"u","server":"127.0.0.3:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.3:1","weight":2}}`)
		if got, want := shownServers(t, s), "127.0.0.3:1 changed"; got != want {
			t.Errorf("%s: %s, want %s", failing, got, want)
		}
		for i, config := range []*webtest.Server{first, s} {
			call := fmt.Sprintf(`POST %s {"server":"127.0.0.4:%d"}`, stateServers, i+1)
			if got := askAPI(config, call); !strings.HasPrefix(got, "201") {
				t.Errorf("%s: %s: %s", failing, call, got)
			}
		}
		for _, server := range []string{"127.0.0.3:1", "127.0.0.4:1", "127.0.0.4:2"} {
			testkit.Eventually(t, time.Minute, func() error {
				if text := content(t, file); !strings.Contains(text, "server "+server) {
					return fmt.Errorf("%s: the file has no %s: %s", failing, server, text)
				}
				return nil
			})
		}
	}
}

// TestAStateThatIsSharedNoMore: what a configuration with `sync` does after the next one has ended that is not saved,
// and does not wait for it either.
func TestAStateThatIsSharedNoMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	s, err := loadState(t, file, "upstream u { zone u 64k sync; state STATE; }")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(t, file, "upstream u { zone u 64k; state STATE; }", webtest.After(s)); err != nil {
		t.Fatal(err)
	}
	if got := askAPI(s, `POST `+stateServers+` {"server":"127.0.0.1:1"}`); !strings.HasPrefix(got, "503 503 ConfigurationReloaded") {
		t.Error(got)
	}
}

// TestWhatAPeerChangesIsSaved: soon, though nobody waits for it; and by one process only while the binary is replaced.
func TestWhatAPeerChangesIsSaved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	s, err := loadState(t, file, "upstream u { zone u 64k sync; state STATE; }")
	if err != nil {
		t.Fatal(err)
	}
	comesToHave := func(text string) {
		t.Helper()
		testkit.Eventually(t, time.Minute, func() error {
			if got := content(t, file); !strings.Contains(got, text) {
				return fmt.Errorf("the file has %q", got)
			}
			return nil
		})
	}
	const added = `{"upstream":"u","server":"127.0.0.3:1","did":"added","node":"n","host":"h","set":{"server":"127.0.0.3:1"}}`
	peerOf(s)(t, "127.0.0.3:1", added)
	comesToHave("server 127.0.0.3:1;\n")
	if len(s.Plan.Exclusives()) != 1 {
		t.Fatalf("%d files pass to another process", len(s.Plan.Exclusives()))
	}
	asked, x := 0, s.Plan.Exclusives()[0]
	if err := x.Yield(func() error { asked++; return nil }); err != nil {
		t.Fatal(err)
	}
	got := askAPI(s, "POST "+stateServers+` {"server":"127.0.0.4:1"}`)
	if !strings.HasPrefix(got, "201") || asked == 0 {
		t.Errorf("%s, the other process was asked %d times", got, asked)
	}
	if got := content(t, file); strings.Contains(got, "127.0.0.4") {
		t.Errorf("two processes write the file: %q", got)
	}
	if err := x.Seize(); err != nil {
		t.Fatal(err)
	}
	comesToHave("server 127.0.0.4:1;\n")
}

// TestChangesOfAKilledProcessAreAdopted: what a process saved and could not send before it was killed is there in the one
// that takes the file back, and stays in the file.
func TestChangesOfAKilledProcessAreAdopted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	const block = "upstream u { zone u 64k sync; state STATE; }"
	old, err := loadState(t, file, block)
	if err != nil {
		t.Fatal(err)
	}
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.1:1"}`, "201")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.2:1"}`, "201")
	heir, err := loadState(t, file, block, successor)
	if err != nil {
		t.Fatal(err)
	}
	yields(t, old)
	seizes(t, heir)
	hasServers(t, heir, "127.0.0.1:1", "127.0.0.2:1")
	changes(t, heir, "POST "+stateServers+` {"server":"127.0.0.3:1"}`, "201")
	changes(t, heir, "PATCH "+stateServers+`/0 {"weight":7}`, "200")
	changes(t, heir, "DELETE "+stateServers+"/1", "200")
	yields(t, heir)
	seizes(t, old)
	hasServers(t, old, "127.0.0.1:1", "127.0.0.3:1")
	if got := askAPI(old, "GET "+stateServers); !strings.Contains(got, `"weight":7`) {
		t.Error(got)
	}
	if got := content(t, file); !strings.Contains(got, "server 127.0.0.1:1 weight=7;\nserver 127.0.0.3:1;\n") {
		t.Errorf("the file has %q", got)
	}
}

// TestSharingBeginsWithTheServersOfAProcessThatDoesNotShare: the process that replaces it has read the file before the
// last changes. They are there when it takes over, as servers of the node's own, with what the cluster has changed, and
// likewise after it has given the clients back for a while.
func TestSharingBeginsWithTheServersOfAProcessThatDoesNotShare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	old := startState(t, file, "state STATE;")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.1:1"}`, "201")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.2:1"}`, "201")
	heir, err := loadState(t, file, "upstream u { zone u 64k sync; state STATE; }", successor)
	if err != nil {
		t.Fatal(err)
	}
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.3:1","weight":3}`, "201")
	changes(t, old, "DELETE "+stateServers+"/0", "200")
	yields(t, old)
	seizes(t, heir)
	if got, want := shownServers(t, heir), "127.0.0.2:1, 127.0.0.3:1"; got != want {
		t.Errorf("it takes over with %s, want %s", got, want)
	}
	if got := askAPI(heir, "GET "+stateServers); !strings.Contains(got, `"weight":3`) {
		t.Error(got)
	}
	changes(t, heir, "PATCH "+stateServers+`/1 {"drain":true}`, "200")
	if got := content(t, file); !strings.HasPrefix(got, "# starling writes this file") {
		t.Errorf("the file is not one of a shared upstream: %q", got)
	}
	yields(t, heir)
	seizes(t, old)
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.4:1"}`, "201")
	yields(t, old)
	seizes(t, heir)
	if got, want := shownServers(t, heir), "127.0.0.2:1 drain changed, 127.0.0.3:1, 127.0.0.4:1"; got != want {
		t.Errorf("it takes over again with %s, want %s", got, want)
	}
	if err := os.WriteFile(file, []byte("server 127.0.0.2:1;\nserver 127.0.0.3:1 nonsense;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yields(t, heir)
	seizes(t, heir)
	if text := strings.Join(heir.Log.Lines(), "\n"); !strings.Contains(text, "cannot adopt state file") || !strings.Contains(text, "u.conf:2") {
		t.Errorf("logged: %s", text)
	}
}

// TestASharedStateThatCannotBeWritten: the API says so, though the change is made; it is saved with the next one.
func TestASharedStateThatCannotBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "u.conf")
	s, err := loadState(t, file, "upstream u { zone u 64k sync; state STATE; }")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	got := askAPI(s, "POST "+stateServers+` {"server":"127.0.0.3:1"}`)
	if !strings.HasPrefix(got, "500") || !strings.Contains(got, "made on all nodes, but not saved") {
		t.Error(got)
	}
	if got := shownServers(t, s); got != "127.0.0.3:1 changed" {
		t.Error(got)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	if got := askAPI(s, "PATCH "+stateServers+`/0 {"weight":2}`); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
	if got := content(t, file); !strings.Contains(got, "server 127.0.0.3:1 weight=2;\n") {
		t.Error(got)
	}
}

// TestRemovalsOfServersThatOnlyTheAPIAddedEnd: addresses of groups that scale come and go. The removal of a server of
// the configuration stays, or a reload would bring it back.
func TestRemovalsOfServersThatOnlyTheAPIAddedEnd(t *testing.T) {
	s := startShared(t, sharedServers)
	for _, call := range []string{
		"POST " + stateServers + ` {"server":"127.0.0.3:1"}`, "DELETE " + stateServers + "/2", "DELETE " + stateServers + "/0",
		"PATCH " + stateServers + `/1 {"weight":2}`,
	} {
		if got := askAPI(s, call); !strings.HasPrefix(got, "20") {
			t.Errorf("%s: %s", call, got)
		}
	}
	var made []struct {
		Server, Did string
		Left        int64 `json:"left_ms"`
	}
	text := strings.TrimPrefix(askAPI(s, "GET /api/9/http/upstreams/u/changes"), "200 ")
	if err := json.Unmarshal([]byte(text), &made); err != nil || len(made) != 3 {
		t.Fatalf("%s, %v", text, err)
	}
	if day := (24 * time.Hour).Milliseconds(); made[0].Did != "removed" || made[0].Left <= 0 || made[0].Left > day {
		t.Errorf("the removal of what the API had added: %+v", made[0])
	}
	if made[1].Did != "removed" || made[1].Left != 0 || made[2].Did != "changed" || made[2].Left != 0 {
		t.Errorf("changes of the configuration's servers: %+v", made[1:])
	}
}

// TestNamesThatLookLikeComments: a state file that is not shared keeps them; a cluster does not share them.
func TestNamesThatLookLikeComments(t *testing.T) {
	const call = "POST " + stateServers + ` {"server":"unix:/tmp/a\n#zone !\n#own x"}`
	file := filepath.Join(t.TempDir(), "u.conf")
	s := startState(t, file, "state STATE;")
	if got := askAPI(s, call); !strings.HasPrefix(got, "201") {
		t.Error(got)
	}
	again := startState(t, file, "state STATE;")
	if got := shownServers(t, again); got != "unix:/tmp/a\n#zone !\n#own x" {
		t.Errorf("after a restart: %q", got)
	}
	if got := askAPI(startShared(t, sharedServers), call); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, "cannot share") {
		t.Error(got)
	}
}
