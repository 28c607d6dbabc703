package authbasic_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"starling/modules/web/authbasic"
	"starling/modules/web/core"
	"starling/web"
	"starling/web/webtest"
)

var modules = []*web.Module{&core.Module, &authbasic.Module, webtest.Say()}

// The passwords of these lines, made with openssl passwd and htpasswd, are all "secret".
const users = `# comment
apr1:$apr1$salt$VEpBc9VHGUKwI9.yg13Iu0:a comment
md5:$1$salt$ez2vlPGdaLYkJam5pWs/Y1
sha256:$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA
sha512:$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1
bcrypt:$2y$04$ZuM8AABw40s7Jp3zuBCbDOjc32td8ybM331lpAW0gZiFw3sDv9O3O
plain:{PLAIN}secret
sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
des:sa3tHJ3/KuYvI
odd:aabbccddeeffgh
bare:secret
twice:{PLAIN}secret
twice:{PLAIN}other
`

func credentials(pair string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func start(t *testing.T) (*webtest.Server, string) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	return webtest.Start(t, modules, `
		auth_basic "closed $arg_site"; auth_basic_user_file `+file+`;
		server {
			location / { say "$remote_user"; }
			location /open { auth_basic off; say open; }
			location /maybe { auth_basic $arg_realm; say maybe; }
			location /missing { auth_basic_user_file /nowhere; say x; }
			location /dir { auth_basic_user_file /; say x; }
			location /device { auth_basic_user_file /dev/zero; say x; }
		}`), file
}

func TestPasswords(t *testing.T) {
	s, _ := start(t)
	for pair, want := range map[string]string{
		"apr1:secret": "200", "apr1:wrong": "401", "md5:secret": "200", "sha256:secret": "200", "sha512:secret": "200", "sha512:wrong": "401", "bcrypt:secret": "200",
		"bcrypt:wrong": "401", "plain:secret": "200", "plain:{PLAIN}secret": "401", "plain:": "401", "sha:secret": "200",
		"nobody:secret": "401", "des:sa3tHJ3/KuYvI": "401", "des:password": "200", "des:wrong": "401", "bare:secret": "401", "twice:secret": "200", "twice:other": "401", ":": "401", "# comment": "401",
	} {
		if got := strings.Fields(s.Get("/", credentials(pair)))[1]; got != want {
			t.Errorf("%s: got %s, want %s", pair, got, want)
		}
	}
}

func TestChallenge(t *testing.T) {
	s, _ := start(t)
	for _, header := range []string{"X: none", "Authorization: Bearer x", "Authorization: Basic", "Authorization: Basic %%%", "Authorization: Basic YWJj"} {
		got := s.Get("/?site=one", header)
		if !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, "\r\nWWW-Authenticate: Basic realm=\"closed one\"\r\n") {
			t.Errorf("%s: %q", header, got)
		}
	}
	for target, want := range map[string]string{"/open": "200", "/maybe?realm=off": "200", "/maybe?realm=on": "401", "/missing": "401"} {
		if got := strings.Fields(s.Get(target))[1]; got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// Each refusal adds its challenge, also that of an error page's location.
func TestChallengesOfErrorPages(t *testing.T) {
	_, file := start(t)
	s := webtest.Start(t, modules, `server { auth_basic outer; auth_basic_user_file `+file+`; error_page 401 /login; error_page 403 @open;
		location /login { auth_basic inner; say login; } location @open { auth_basic off; say open; } }`)
	got := s.Get("/")
	if challenges := "\r\nWWW-Authenticate: Basic realm=\"outer\"\r\nWWW-Authenticate: Basic realm=\"inner\"\r\n"; !strings.Contains(got, challenges) {
		t.Errorf("%q", got)
	}
}

func TestLogLines(t *testing.T) {
	s, file := start(t)
	for _, c := range []struct{ target, pair, status, line string }{
		{"/", "", "401", "[info] *1 no user/password was provided for basic authentication, client"},
		{"/", "nobody:x", "401", `[error] *2 user "nobody" was not found in "` + file + `", client`},
		{"/", "plain:x", "401", `[error] *3 user "plain": password mismatch, client`},
		{"/", "odd:x", "401", `[error] *4 password of user "odd" in "` + file + `" uses an unsupported hash format`},
		{"/missing", "plain:x", "403", `[error] *5 open() "/nowhere" failed (2: No such file or directory), client`},
		{"/dir", "plain:x", "500", `[crit] *6 open() "/" failed (`},
		{"/device", "plain:x", "500", `[crit] *7 open() "/dev/zero" failed (not a regular file: device)`},
	} {
		header := "X: none"
		if c.pair != "" {
			header = credentials(c.pair)
		}
		if got := strings.Fields(s.Get(c.target, header))[1]; got != c.status {
			t.Errorf("%s %s: got %s, want %s", c.target, c.pair, got, c.status)
		}
		if lines := strings.Join(s.Log.Lines(), "\n"); !strings.HasPrefix(lines, c.line) {
			t.Errorf("%s %s: logged %s", c.target, c.pair, lines)
		}
	}
}

func TestAChangedFileCounts(t *testing.T) {
	s, file := start(t)
	if got := strings.Fields(s.Get("/", credentials("plain:secret")))[1]; got != "200" {
		t.Fatalf("got %s", got)
	}
	if err := os.WriteFile(file, []byte("plain:{PLAIN}changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(s.Get("/", credentials("plain:secret")))[1]; got != "401" {
		t.Errorf("the old password: %s", got)
	}
	if got := strings.Fields(s.Get("/", credentials("plain:changed")))[1]; got != "200" {
		t.Errorf("the new password: %s", got)
	}
}
