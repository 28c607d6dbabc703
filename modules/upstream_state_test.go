package modules_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/admin"
	"starling/lib/resolver/resolvertest"
	"starling/modules/web/keyval"
	"starling/plan"
	"starling/web"
	"starling/web/webtest"
)

const stateServers = "/api/9/http/upstreams/u/servers"

// startState runs an upstream block with the API; STATE in the text is the file.
func startState(t *testing.T, file, block string, options ...webtest.Option) *webtest.Server {
	t.Helper()
	s, err := loadState(t, file, `upstream u { zone u 64k; `+block+` }`, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loadState(t *testing.T, file, upstreams string, options ...webtest.Option) (*webtest.Server, error) {
	families := append([]*web.Module{&keyval.Module}, upstreamAPIFamilies...)
	s, err := webtest.Load(t, families, strings.ReplaceAll(upstreams, "STATE", file)+` server { location /api { api write=on; } }`, options...)
	if err == nil {
		plan.Part[admin.Catalog](s.Plan).Resources = s.Site.Resources()
	}
	return s, err
}

var errLastStep = errors.New("the last step fails")

// lastStepFails makes the start of a configuration fail after all its other steps.
func lastStepFails(p *plan.Plan) {
	p.OnLoad(func() error {
		p.OnStart(func(context.Context) error { return errLastStep })
		return nil
	})
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestStateKeepsWhatTheAPIChanged: the file has the servers after each change, with the parameters that are not the
// defaults, and a restart and a reload begin with them.
func TestStateKeepsWhatTheAPIChanged(t *testing.T) {
	dns := resolvertest.Start(t)
	dns.Host("app.example.com", 0, "127.0.0.9")
	file := filepath.Join(t.TempDir(), "u.conf")
	block := `state STATE; resolver ` + dns.Addr + `;`
	s := startState(t, file, block)
	if got := content(t, file); got != "" {
		t.Errorf("a new file has %q", got)
	}
	for _, step := range []struct{ call, want string }{
		{`POST ` + stateServers + ` {"server":"127.0.0.1:1"}`, "server 127.0.0.1:1;\n"},
		{`POST ` + stateServers + ` {"server":"127.0.0.2","slow_start":"10s","backup":true,"down":true}`,
			"server 127.0.0.1:1;\nserver 127.0.0.2 slow_start=10s backup down;\n"},
		{`PATCH ` + stateServers + `/0 {"weight":5,"max_conns":6,"max_fails":0,"fail_timeout":"1m","route":"r{1}","drain":true}`,
			"server 127.0.0.1:1 weight=5 max_conns=6 max_fails=0 fail_timeout=60s \"route=r{1}\" drain;\nserver 127.0.0.2 slow_start=10s backup down;\n"},
		{`DELETE ` + stateServers + `/1`, "server 127.0.0.1:1 weight=5 max_conns=6 max_fails=0 fail_timeout=60s \"route=r{1}\" drain;\n"},
		{`POST ` + stateServers + ` {"server":"app.example.com","service":"http","fail_timeout":"1500ms"}`,
			"server 127.0.0.1:1 weight=5 max_conns=6 max_fails=0 fail_timeout=60s \"route=r{1}\" drain;\nserver app.example.com fail_timeout=1500ms service=http resolve;\n"},
		{`DELETE ` + stateServers + `/0`, "server app.example.com fail_timeout=1500ms service=http resolve;\n"},
		{`POST ` + stateServers + ` {"server":"unix:/tmp/a \"b\\{;\n#$c"}`,
			"server app.example.com fail_timeout=1500ms service=http resolve;\nserver \"unix:/tmp/a \\\"b\\\\{;\n#$c\";\n"},
		{`POST ` + stateServers + ` {"server":"127.0.0.1:1","route":"a"}`,
			"server app.example.com fail_timeout=1500ms service=http resolve;\nserver \"unix:/tmp/a \\\"b\\\\{;\n#$c\";\nserver 127.0.0.1:1 route=a;\n"},
		{`PATCH ` + stateServers + `/4 {"down":true}`,
			"server app.example.com fail_timeout=1500ms service=http resolve;\nserver \"unix:/tmp/a \\\"b\\\\{;\n#$c\";\nserver 127.0.0.1:1 route=a down;\n"},
	} {
		answer := askAPI(s, step.call)
		if got := content(t, file); !strings.HasPrefix(answer, "20") || got != step.want {
			t.Errorf("%s\n%s\n got %q\nwant %q", step.call, answer, got, step.want)
		}
	}
	kept := content(t, file)
	for name, next := range map[string]*webtest.Server{
		"restart": startState(t, file, block), "reload": startState(t, file, block, webtest.After(s)),
	} {
		template := strings.Replace(object(0, "app.example.com", `"fail_timeout":"1500ms"`), `"weight"`, `"service":"http","weight"`, 1)
		want := `200 [` + template + `,` + object(1, `unix:/tmp/a \"b\\{;\n#$c`) + `,` + object(2, "127.0.0.1:1", `"route":"a"`, `"down":true`) + `]`
		if got := askAPI(next, "GET "+stateServers); got != want {
			t.Errorf("after the %s\n got %s\nwant %s", name, got, want)
		}
	}
	if got := content(t, file); got != kept {
		t.Errorf("reading changed the file to %q", got)
	}
	if left, _ := filepath.Glob(filepath.Dir(file) + "/*"); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestStateThatCannotBeWritten: the API reports it, and nothing has changed; what it rejects for another reason is not
// written either.
func TestStateThatCannotBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(folder, "u.conf")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const before = "server 127.0.0.1:1;\nserver 127.0.0.1:2;\n"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startState(t, file, `hash $uri; state STATE;`)
	servers := `200 [` + object(0, "127.0.0.1:1") + `,` + object(1, "127.0.0.1:2") + `]`
	for _, c := range []struct{ call, want string }{
		{`POST ` + stateServers + ` {"server":"127.0.0.1:1"}`, `409 409 EntryExists: server "127.0.0.1:1" already exists`},
		{`POST ` + stateServers + ` {"server":"127.0.0.1:3","backup":true}`, `400 400 UpstreamNoBackup: load balancing method does not support backup servers`},
		{`PATCH ` + stateServers + `/0 {"weight":0}`, `400 400 UpstreamBadWeight: invalid weight`},
		{`PATCH ` + stateServers + `/7 {"weight":2}`, `404 404 UpstreamServerNotFound: server with ID "7" does not exist`},
		{`DELETE ` + stateServers + `/7`, `404 404 UpstreamServerNotFound: server with ID "7" does not exist`},
		{`POST ` + stateServers + ` {"server":"` + strings.Repeat("a", 5000) + `:1"}`, `400 400 UpstreamBadAddress: invalid server address "` + strings.Repeat("a", 5000) + `:1"`},
	} {
		if got := askAPI(s, c.call); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.call, got, c.want)
		}
	}
	if got := content(t, file); got != before {
		t.Errorf("rejected changes wrote %q", got)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	want := `500 500 InternalError: cannot write state file "` + file + `" (2: No such file or directory); nothing was changed`
	for _, call := range []string{
		`POST ` + stateServers + ` {"server":"127.0.0.1:3"}`, `PATCH ` + stateServers + `/0 {"down":true}`, `DELETE ` + stateServers + `/0`,
	} {
		if got := askAPI(s, call); got != want {
			t.Errorf("%s\n got %s\nwant %s", call, got, want)
		}
		if got := askAPI(s, "GET "+stateServers); got != servers {
			t.Errorf("after %s\n got %s\nwant %s", call, got, servers)
		}
	}
	s.Logged(`[error] cannot write state file "` + file + `" (2: No such file or directory); the change of the servers was rejected`)
}

// TestStateDuringAReload: what the API changes between the reading of the file and the start of the new configuration
// is in the new one; after that the old one takes no more changes. A reload that fails leaves the old one in charge.
func TestStateDuringAReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	s := startState(t, file, `state STATE;`)
	if got := askAPI(s, `POST `+stateServers+` {"server":"127.0.0.1:1"}`); !strings.HasPrefix(got, "201") {
		t.Fatal(got)
	}
	late := func(p *plan.Plan) {
		p.OnLoad(func() error {
			if got := askAPI(s, `POST `+stateServers+` {"server":"127.0.0.1:2"}`); !strings.HasPrefix(got, "201") {
				return fmt.Errorf("during the reload: %s", got)
			}
			return nil
		})
	}
	next := startState(t, file, `state STATE;`, webtest.After(s), late)
	want := `200 [` + object(0, "127.0.0.1:1") + `,` + object(1, "127.0.0.1:2") + `]`
	if got := strings.NewReplacer(`"id":1`, `"id":0`, `"id":2`, `"id":1`).Replace(askAPI(next, "GET "+stateServers)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	const reloaded = `503 503 ConfigurationReloaded: configuration was reloaded meanwhile; nothing was changed; send the change again`
	if got := askAPI(s, `DELETE `+stateServers+`/0`); got != reloaded {
		t.Error(got)
	}
	if _, err := loadState(t, file, `upstream u { zone u 64k; state STATE; }`, webtest.After(next), lastStepFails); !errors.Is(err, errLastStep) {
		t.Fatal(err)
	}
	if got := askAPI(next, `POST `+stateServers+` {"server":"127.0.0.1:3"}`); !strings.HasPrefix(got, "201") {
		t.Error(got)
	}
	if got := content(t, file); got != "server 127.0.0.1:1;\nserver 127.0.0.1:2;\nserver 127.0.0.1:3;\n" {
		t.Errorf("the file has %q", got)
	}
}

// TestStateErrors: what is wrong with the directive or its file, each with its line.
func TestStateErrors(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "server 127.0.0.1:1;\n# a comment\n\nserver 127.0.0.1:2 backup;\n")
	link := filepath.Join(folder, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, upstreams, want string }{
		{good, `upstream u { zone u 64k; state STATE; server 127.0.0.1:1; }`, `"server" directive is incompatible with "state" in /test.conf:1`},
		{good, `upstream u { zone u 64k; server 127.0.0.1:1; state STATE; }`, `"state" directive is incompatible with "server" in /test.conf:1`},
		{good, `upstream u { zone u 64k; state STATE; state STATE; }`, `"state" directive is duplicate in /test.conf:1`},
		{good, `upstream u { zone u 64k; state; }`, `invalid number of arguments in "state" directive in /test.conf:1`},
		{good, `upstream u { state STATE; }`, `"state" requires upstream "u" in /test.conf:1 to be in shared memory in /test.conf:1`},
		{good, `upstream u { zone u 64k; hash $uri; state STATE; }`, `balancing method does not support parameter "backup" in ` + good + `:4`},
		{good, `upstream u { zone u 64k; state STATE; } upstream v { zone v 64k; state STATE; }`, `file "` + good + `" is already used by "state" in /test.conf:1 in /test.conf:1`},
		{link, `upstream u { zone u 64k; state STATE; } upstream v { zone v 64k; state ` + folder + `/../` + filepath.Base(folder) + `/good; }`,
			`file "` + good + `" is already used by "state" in /test.conf:1 in /test.conf:1`},
		{folder + "/new", `upstream u { zone u 64k; state STATE; } upstream v { zone v 64k; state ` + folder + `/./new; }`,
			`file "` + folder + `/new" is already used by "state" in /test.conf:1 in /test.conf:1`},
		{folder + "/new", `keyval_zone zone=k:32k state=STATE; upstream u { zone u 64k; state STATE; }`, `file "` + folder + `/new" is already used by "state" in /test.conf:1 in /test.conf:1`},
		{folder + "/none/new", `upstream u { zone u 64k; state STATE; }`, `open() "` + folder + `/none/new" failed (2: No such file or directory) in /test.conf:1`},
		{folder, `upstream u { zone u 64k; state STATE; }`, `open() "` + folder + `" failed (21: Is a directory) in /test.conf:1`},
		{write("cut", "server 127.0.0.1:1;\nserver 127.0"), `upstream u { zone u 64k; state STATE; }`, `unexpected end of file, expecting ";" or "}" in ` + folder + `/cut:2`},
		{write("other", "server 127.0.0.1:1;\nkeepalive 3;\n"), `upstream u { zone u 64k; state STATE; }`, `"keepalive" directive is not allowed here in ` + folder + `/other:2`},
		{write("include", "include good;\n"), `upstream u { zone u 64k; state STATE; }`, `"include" directive is not allowed here in ` + folder + `/include:1`},
		{write("block", "server 127.0.0.1:1 {\n}\n"), `upstream u { zone u 64k; state STATE; }`, `unexpected "{" in ` + folder + `/block:1`},
		{write("end", "}\n"), `upstream u { zone u 64k; state STATE; }`, `unexpected "}" in ` + folder + `/end:1`},
		{write("weight", "\nserver 127.0.0.1:1 weight=0;\n"), `upstream u { zone u 64k; state STATE; }`, `invalid parameter "weight=0" in ` + folder + `/weight:2`},
		{write("word", "server 127.0.0.1:1 wieght=1;\n"), `upstream u { zone u 64k; state STATE; }`, `invalid parameter "wieght=1" in ` + folder + `/word:1`},
		{write("bytes", "\x00\x01\x02\xff"), `upstream u { zone u 64k; state STATE; }`, `unexpected end of file, expecting ";" or "}" in ` + folder + `/bytes:1`},
		{write("name", "server app.example.com resolve;\n"), `upstream u { zone u 64k; state STATE; }`, `no resolver defined to resolve names at run time in upstream "u" in /test.conf:1`},
	} {
		_, err := loadState(t, c.file, c.upstreams)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s with %s\n got %v\nwant %s", c.upstreams, filepath.Base(c.file), err, c.want)
		}
	}
	if _, err := loadState(t, good, `upstream u { zone u 64k; state STATE; }`); err != nil {
		t.Error(err)
	}
}

// TestStateOfNamesWithoutResolve: their addresses are looked up when the file is read; a change writes the addresses.
func TestStateOfNamesWithoutResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	if err := os.WriteFile(file, []byte("server localhost:81;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startState(t, file, `state STATE;`)
	if got := askAPI(s, `PATCH `+stateServers+`/0 {"down":true}`); !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	if got := content(t, file); !strings.HasPrefix(got, "server 127.0.0.1:81 down;\n") {
		t.Errorf("the file has %q", got)
	}
}

// successor makes a configuration that of a process that replaces another one.
func successor(p *plan.Plan) { p.Successor = true }

func yields(t *testing.T, s *webtest.Server) {
	t.Helper()
	for _, x := range s.Plan.Exclusives() {
		if err := x.Yield(func() error { return errors.New("gone") }); err != nil {
			t.Fatal(err)
		}
	}
}

func seizes(t *testing.T, s *webtest.Server) {
	t.Helper()
	for _, x := range s.Plan.Exclusives() {
		if err := errors.Join(x.Seize(), x.Persist()); err != nil {
			t.Fatal(err)
		}
	}
}

// changes asks the API for a change, which must answer with a status.
func changes(t *testing.T, s *webtest.Server, ask, status string) {
	t.Helper()
	if got := askAPI(s, ask); !strings.HasPrefix(got, status) {
		t.Fatalf("%s: %s", ask, got)
	}
}

// hasServers wants the servers of upstream u to be these, in any order.
func hasServers(t *testing.T, s *webtest.Server, want ...string) {
	t.Helper()
	got := askAPI(s, "GET "+stateServers)
	for _, server := range want {
		if !strings.Contains(got, `"server":"`+server+`"`) {
			t.Errorf("there is no %s: %s", server, got)
		}
	}
	if n := strings.Count(got, `"server":`); n != len(want) {
		t.Errorf("%d servers instead of %d: %s", n, len(want), got)
	}
}

// TestAStateFilePassesToAnotherProcess: two processes that follow each other over a state file have the changes that the
// API made in either, and none overwrites those of the other, however the other ended.
func TestAStateFilePassesToAnotherProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	old := startState(t, file, "state STATE;")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.1:1","max_conns":3}`, "201")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.2:1"}`, "201")
	heir := startState(t, file, "state STATE;", successor)
	changes(t, heir, "POST "+stateServers+` {"server":"127.0.0.9:1"}`, "503 503 BinaryReplaced")
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.3:1"}`, "201") // the new process has read the file before
	yields(t, old)
	seizes(t, heir)
	hasServers(t, heir, "127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1")
	changes(t, old, "DELETE "+stateServers+"/0", "503 503 BinaryReplaced")

	changes(t, heir, "DELETE "+stateServers+"/1", "200")
	changes(t, heir, "PATCH "+stateServers+`/0 {"down":true}`, "200")
	changes(t, heir, "POST "+stateServers+` {"server":"127.0.0.4:1","backup":true}`, "201")
	yields(t, heir) // it is killed
	seizes(t, old)
	hasServers(t, old, "127.0.0.1:1", "127.0.0.3:1", "127.0.0.4:1")
	for _, want := range []string{`"id":0,"server":"127.0.0.1:1"`, `"down":true`, `"max_conns":3`, `"backup":true`} {
		if got := askAPI(old, "GET "+stateServers); !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	changes(t, old, "POST "+stateServers+` {"server":"127.0.0.5:1"}`, "201")
	const all = "server 127.0.0.1:1 max_conns=3 down;\nserver 127.0.0.3:1;\nserver 127.0.0.4:1 backup;\nserver 127.0.0.5:1;\n"
	if got := content(t, file); got != all {
		t.Errorf("the file has %q, want %q", got, all)
	}
}

// TestAStateFileThatCannotBeAdopted: the process serves with the servers that it has, and says so.
func TestAStateFileThatCannotBeAdopted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "u.conf")
	old := startState(t, file, "state STATE;")
	if got := askAPI(old, "POST "+stateServers+` {"server":"127.0.0.1:1"}`); !strings.HasPrefix(got, "201") {
		t.Fatal(got)
	}
	yields(t, old)
	if err := os.WriteFile(file, []byte("server 127.0.0.2:1;\nserver 127.0.0.3:1 nonsense;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	seizes(t, old)
	hasServers(t, old, "127.0.0.1:1")
	if text := strings.Join(old.Log.Lines(), "\n"); !strings.Contains(text, "cannot adopt state file") || !strings.Contains(text, "u.conf:2") {
		t.Errorf("logged: %s", text)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	yields(t, old)
	seizes(t, old)
	if got := content(t, file); got != "server 127.0.0.1:1;\n" {
		t.Errorf("the file that was removed has %q", got)
	}
}
