package logs

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"starling/lib/testkit"
)

// syslogServer is a server of the test's own; receive gives its next message.
func syslogServer(t *testing.T, network, address string) (server net.PacketConn, receive func() string) {
	t.Helper()
	server, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, func() string {
		t.Helper()
		buf := make([]byte, 4096)
		server.SetReadDeadline(time.Now().Add(time.Minute))
		n, _, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestLinesToSyslog(t *testing.T) {
	server, receive := syslogServer(t, "udp", "127.0.0.1:0")
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	logs := NewFiles("starling").Logs()
	defer logs.Close()
	path := SyslogScheme + "server=" + server.LocalAddr().String()
	log, err := logs.ErrorLog([]Target{{Path: path, Level: Warn}, {Path: path + ",facility=user,tag=SEE,nohostname,severity=alert", Level: Error}})
	if err != nil {
		t.Fatal(err)
	}
	const when = `\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `
	stamp := `[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d `
	log.Logf(Warn, "first")
	log.Logf(Info, "not written")
	log.Logf(Error, "second\nline")
	for _, want := range []string{
		`^<188>` + stamp + regexp.QuoteMeta(strings.ToLower(hostname)) + ` nginx: ` + when + `\[warn\] \d+#\d+: first$`,
		`^<187>.* nginx: ` + when + `\[error\] .*: second\\x0Aline$`,
		`^<11>` + stamp + `SEE: ` + when + `\[error\] .*: second\\x0Aline$`, // an error log's lines have their own severity
	} {
		if got := receive(); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	access, err := logs.AccessLog(AccessOptions{Path: path + ",severity=debug"})
	if err != nil {
		t.Fatal(err)
	}
	access.Write([]byte("line\n"))
	if got := receive(); !strings.HasPrefix(got, "<191>") || !strings.HasSuffix(got, " nginx: line") {
		t.Errorf("got %q", got)
	}
}

func TestSyslogSurvivesItsServer(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "log")
	files := NewFiles("starling")
	logs := files.Logs()
	defer logs.Close()
	access, err := logs.AccessLog(AccessOptions{Path: SyslogScheme + "server=unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	access.Write([]byte("nobody listens\n"))
	if files.Failed() != 1 {
		t.Errorf("%d lines are counted as lost", files.Failed())
	}
	_, receive := syslogServer(t, "unixgram", path)
	access.Write([]byte("now\n"))
	if got := receive(); !strings.HasSuffix(got, " nginx: now") {
		t.Errorf("got %q", got)
	}
	if errs := files.Reopen(); errs != nil {
		t.Error(errs)
	}
}

func TestSyslogProblems(t *testing.T) {
	for path, want := range map[string]string{
		"server=127.0.0.1,facility=local0,tag=a_1":  "",
		"server=unix:/dev/log,nohostname":           "",
		"tag=x":                                     "no syslog server specified",
		"server=127.0.0.1,server=127.0.0.2":         `duplicate syslog "server"`,
		"server=127.0.0.1:x":                        `invalid port in "127.0.0.1:x" in syslog server "127.0.0.1:x"`,
		"server=127.0.0.1,facility=x":               `unknown syslog facility "x"`,
		"server=127.0.0.1,severity=x":               `unknown syslog severity "x"`,
		"server=127.0.0.1,tag=a-b":                  `syslog "tag" only allows alphanumeric characters and underscore`,
		"server=127.0.0.1,tag=" + string(longTag()): "syslog tag length exceeds 32",
		"server=127.0.0.1,colour=red":               `unknown syslog parameter "colour=red"`,
		"":                                          `unknown syslog parameter ""`,
	} {
		got := ""
		if err := CheckSyslog(SyslogScheme + path); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func longTag() []byte { return []byte(strings.Repeat("x", maxSyslogTag+1)) }
