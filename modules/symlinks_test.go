package modules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"starling/modules/web/accesslog"
	"starling/modules/web/core"
	"starling/modules/web/gzip"
	"starling/modules/web/gzipstatic"
	"starling/modules/web/rewrite"
	"starling/modules/web/static"
	"starling/modules/web/tryfiles"
	"starling/web"
	"starling/web/webtest"
)

var symlinkFamilies = []*web.Module{
	&core.Module, &rewrite.Module, &tryfiles.Module, &gzip.Module, &gzipstatic.Module, &static.Module, &accesslog.Module,
}

// symlinkTree has /dir with files, links to them, and foreign, a link that has another owner than its target.
func symlinkTree(t *testing.T) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	foreign := "/etc/hosts" // of root
	if os.Getuid() == 0 {
		foreign = root + "/dir/file"
	}
	errs := []error{os.Mkdir(root+"/dir", 0o755), os.Mkdir(root+"/indexed", 0o755), os.Mkdir(root+"/alien", 0o755)}
	for _, name := range []string{"/dir/file", "/dir/file.gz", "/dir/page", "/indexed/real.html"} {
		errs = append(errs, os.WriteFile(root+name, []byte(name), 0o644))
	}
	for name, to := range map[string]string{
		"/dir/own": "file", "/dir/foreign": foreign, "/dir/page.gz": "file.gz", "/linked": "dir",
		"/indexed/index.html": "real.html", "/alien/index.html": foreign,
	} {
		errs = append(errs, os.Symlink(to, root+name))
	}
	if os.Getuid() == 0 {
		errs = append(errs, os.Lchown(root+"/dir/foreign", 12345, -1), os.Lchown(root+"/alien/index.html", 12345, -1))
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDisableSymlinks(t *testing.T) {
	root := symlinkTree(t)
	s := webtest.Start(t, symlinkFamilies, `log_not_found off;
		server { listen 1; server_name off; root `+root+`; }
		server { listen 1; server_name on; root `+root+`; disable_symlinks on;
			location /if/ { alias `+root+`/dir/; if (-e $request_filename) { return 204; } return 205; }
			location /ifnot/ { alias `+root+`/dir/; if (!-f $request_filename) { return 204; } return 205; }
			location /try/ { alias `+root+`/dir/; try_files $uri $uri.gz =410; }
			location /gz/ { alias `+root+`/dir/; gzip_static always; }
			location /again/ { disable_symlinks off; alias `+root+`/dir/; } }
		server { listen 1; server_name owner; root `+root+`; disable_symlinks if_not_owner; }
		server { listen 1; server_name from; root `+root+`/linked; disable_symlinks on from=$document_root; }
		server { listen 1; server_name slash; root `+root+`/linked/; disable_symlinks on from=$document_root; }
		server { listen 1; server_name part; root `+root+`/linked; disable_symlinks on from=`+root+`/lin; }
		server { listen 1; server_name header; root `+root+`/linked; disable_symlinks if_not_owner from=$http_from; }`)
	for _, c := range []struct{ host, target, want string }{
		{"off", "/dir/foreign", "200"}, {"off", "/linked/own", "200"}, {"off", "/indexed/", "200"}, {"off", "/alien/", "200"},

		{"on", "/dir/file", "200"}, {"on", "/dir/own", "403"}, {"on", "/dir/foreign", "403"}, {"on", "/dir/none", "404"},
		{"on", "/indexed/", "403"}, {"on", "/indexed/real.html", "200"}, {"on", "/dir", "301"}, {"on", "/dir/", "403"},
		{"on", "/if/file", "204"}, {"on", "/if/own", "205"}, {"on", "/if/none", "205"}, {"on", "/ifnot/own", "204"},
		{"on", "/try/file", "200"}, {"on", "/try/page", "200"}, {"on", "/try/own", "410"}, {"on", "/try/none", "410"},
		{"on", "/gz/file", "200 gzip"}, {"on", "/gz/page", "200"}, {"on", "/gz/own", "403"}, {"on", "/again/foreign", "200"},

		{"owner", "/dir/own", "200"}, {"owner", "/linked/own", "200"}, {"owner", "/dir/foreign", "403"},
		{"owner", "/indexed/", "200"}, {"owner", "/alien/", "403"},

		{"from", "/file", "200"}, {"from", "/own", "403"}, {"slash", "/file", "200"}, {"slash", "/own", "403"},
		{"header", "/file", "200"}, {"header", "/foreign", "403"},
	} {
		r := s.Client().Do("GET " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\nAccept-Encoding: gzip\r\n\r\n")
		if got := strings.TrimSpace(r.Status[:3] + " " + r.Header.Get("Content-Encoding")); got != c.want {
			t.Errorf("http://%s%s: %s, want %s", c.host, c.target, got, c.want)
		}
	}
	// The part of a name is not a folder: the link is not exempt.
	if got := s.Client().Do("GET /file HTTP/1.1\r\nHost: part\r\n\r\n").StatusCode; got == 200 {
		t.Error("a link was followed that from= names in part only")
	}
	// The whole path is exempt.
	if got := s.Client().Do("GET /foreign HTTP/1.1\r\nHost: header\r\nFrom: " + root + "/linked/foreign\r\n\r\n").StatusCode; got != 200 {
		t.Errorf("an exempt path: %d", got)
	}
}

func TestDisableSymlinksLogs(t *testing.T) {
	root := symlinkTree(t)
	s := webtest.Start(t, symlinkFamilies, `server { disable_symlinks on; root `+root+`; }`)
	s.Get("/dir/own")
	s.Get("/indexed/")
	lines := strings.Join(s.Log.Lines(), "\n")
	for _, want := range []string{
		`[error] *1 openat() "` + root + `/dir/own" failed (40: Too many levels of symbolic links)`,
		`[error] *2 "` + root + `/indexed/index.html" is forbidden (40: Too many levels of symbolic links)`,
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log has no %s:\n%s", want, lines)
		}
	}
}
