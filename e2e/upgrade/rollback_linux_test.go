package upgrade

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// small has a pair on disk and a limit of three requests, on TCP, on a unix socket and over UDP.
const small = `http {
	keyval_zone zone=one:1m state={{.Dir}}/one.keyval;
	keyval $arg_text $text zone=one;
	limit_req_zone $arg_who zone=req:1m rate=1r/m;
	server {
		listen {{.IP}}:8080;
		listen unix:{{.Dir}}/http.sock;
		location / { add_header X-Process $pid; return 200 "$text"; }
		location = /limited { limit_req zone=req burst=2 nodelay; error_page 404 = @ok; }
		location @ok { return 200 ok; }
		location /api { api write=on; }
	}
}
stream { server { listen {{.IP}}:9200 udp; return $pid; } }`

// alone is a running node with a binary of its own, so that tests can replace it.
func alone(t *testing.T) *harness.Node {
	t.Helper()
	c := harness.NewCluster(t, 1)
	n := c.Nodes[0]
	n.Program = filepath.Join(n.Dir, "starling")
	install(n, harness.Binary)
	c.ConfigureAll(small)
	n.Start()
	n.Wants(201, "*", "POST", harness.SetOne, `{"k":"before"}`)
	return n
}

// install replaces the binary of a node as a package does: by another file. Another process writes it: a descriptor of
// this one could be in a child that is just being started, and the file could not be executed.
func install(n *harness.Node, from string) {
	n.T.Helper()
	out, err := exec.Command("sh", "-c", `cp "$1" "$2.new" && chmod 755 "$2.new" && mv "$2.new" "$2"`, "install", from,
		n.Program).CombinedOutput()
	if err != nil {
		n.T.Fatalf("%v: %s", err, out)
	}
}

// script replaces the binary of a node by something that is no starling.
func script(n *harness.Node, text string) {
	n.T.Helper()
	n.Write("script", "#!/bin/sh\n"+text+"\n")
	install(n, filepath.Join(n.Dir, "script"))
}

// served is the process that serves a request.
func served(n *harness.Node) string {
	n.T.Helper()
	return n.Must("GET", "/?text=k", "").Header.Get("X-Process")
}

// serves waits until a process serves requests.
func serves(n *harness.Node, pid int) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		if got := served(n); got != fmt.Sprint(pid) {
			return fmt.Errorf("process %s serves, not %d:\n%s", got, pid, n.Log())
		}
		return nil
	})
}

// started sends USR2 and waits until the new process serves.
func started(n *harness.Node) (old, heir int) {
	n.T.Helper()
	old = n.FilePID("starling.pid")
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		n.T.Fatal(err)
	}
	testkit.Eventually(n.T, harness.Patience, func() error {
		if _, err := os.Stat(filepath.Join(n.Dir, "starling.pid.oldbin")); err != nil {
			return err
		}
		_, err := os.Stat(filepath.Join(n.Dir, "starling.pid"))
		return err
	})
	heir = n.Inherited()
	serves(n, heir)
	return old, heir
}

func kill(n *harness.Node, pid int, s syscall.Signal) {
	n.T.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		n.T.Fatal(err)
	}
}

// limited wants so many requests of a key to pass.
func limited(n *harness.Node, key string, passes int) {
	n.T.Helper()
	for range passes {
		n.Wants(200, "ok", "GET", "/limited?who="+key, "")
	}
}

// overUDP is the process that answers a datagram.
func overUDP(n *harness.Node) string {
	n.T.Helper()
	got := ""
	testkit.Eventually(n.T, harness.Patience, func() error {
		conn, err := net.Dial("udp", n.IP+":9200")
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("who")); err != nil {
			return err
		}
		buf := make([]byte, 64)
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		read, err := conn.Read(buf)
		got = string(buf[:read])
		return err
	})
	return got
}

// TestSignalsOfNginx: USR2 starts the new process, HUP to the old one and QUIT to the new one go back, and QUIT to the
// old one finishes it. Each process has the pairs and the counts of the other.
func TestSignalsOfNginx(t *testing.T) {
	n := alone(t)
	limited(n, "a", 1)
	limited(n, "idle", 2)
	old, heir := started(n)
	limited(n, "idle", 1)
	n.Wants(503, "*", "GET", "/limited?who=idle", "")
	n.GetsPID("starling.pid.oldbin", old)
	limited(n, "a", 1)
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"new"}`)
	if got := overUDP(n); got != fmt.Sprint(heir) {
		t.Errorf("process %s answers over UDP, want %d", got, heir)
	}

	kill(n, old, syscall.SIGHUP)
	serves(n, old)
	n.Wants(200, "new", "GET", "/?text=k", "")
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"old"}`)
	limited(n, "a", 1)
	n.Wants(503, "*", "GET", "/limited?who=a", "")
	if got := overUDP(n); got != fmt.Sprint(old) {
		t.Errorf("process %s answers over UDP, want %d", got, old)
	}
	kill(n, heir, syscall.SIGQUIT)
	ends(n, heir)
	n.GetsPID("starling.pid", old)

	old, heir = started(n)
	n.Wants(200, "old", "GET", "/?text=k", "")
	n.Wants(503, "*", "GET", "/limited?who=a", "")
	kill(n, old, syscall.SIGQUIT)
	ends(n, old)
	overUnix(n)
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"last"}`)
	if _, err := os.Stat(filepath.Join(n.Dir, "starling.pid.oldbin")); !os.IsNotExist(err) {
		t.Errorf("the old pid file is still there: %v", err)
	}
	kill(n, heir, syscall.SIGQUIT)
	ends(n, heir)
	if _, err := os.Stat(filepath.Join(n.Dir, "http.sock")); !os.IsNotExist(err) {
		t.Errorf("the last process has left its unix socket: %v", err)
	}
	n.Start() // from the disk
	n.Wants(200, "last", "GET", "/?text=k", "")
}

// overUnix makes a request over the unix socket.
func overUnix(n *harness.Node) {
	n.T.Helper()
	conn, err := net.Dial("unix", filepath.Join(n.Dir, "http.sock"))
	if err != nil {
		n.T.Fatal(err)
	}
	defer conn.Close()
	k := &keptAlive{conn: conn}
	k.begin()
	if status, _, err := k.get("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); status != 200 || err != nil {
		n.T.Errorf("over the unix socket: %d, %v", status, err)
	}
}

// TestANewProcessThatDies: the old one accepts clients again, with all that the new one was told.
func TestANewProcessThatDies(t *testing.T) {
	n := alone(t)
	old, heir := started(n)
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"new"}`)
	kill(n, heir, syscall.SIGKILL)
	n.Excused = "has ended without a word"
	serves(n, old)
	n.Wants(200, "new", "GET", "/?text=k", "")
	n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"again"}`)
	n.GetsPID("starling.pid", old) // it accepts first
	old, heir = started(n)
	n.Wants(200, "again", "GET", "/?text=k", "")
	kill(n, heir, syscall.SIGQUIT) // while the old one waits: it goes on
	serves(n, old)
	ends(n, heir)
}

// TestWinch: the process accepts no clients until HUP.
func TestWinch(t *testing.T) {
	n := alone(t)
	pid := n.PID()
	n.Signal(syscall.SIGWINCH)
	n.WaitLog("accepting no more clients")
	waiting := make(chan error, 1)
	go func() {
		r, err := n.Do("GET", "/?text=k", "")
		if err == nil && r.Body != "before" {
			err = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		waiting <- err
	}()
	n.Signal(syscall.SIGHUP)
	n.WaitLog("accepting clients again")
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	k := &keptAlive{address: n.IP + ":8080"}
	for range 2 { // kept connections are kept again
		if status, _, err := k.get("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); status != 200 || err != nil || k.conn == nil {
			t.Errorf("%d, %v, the connection is %v", status, err, k.conn)
		}
	}
	k.close()
	n.Signal(syscall.SIGHUP) // a reload, as always
	n.WaitLog("exited with code 0")
	serves(n, pid)
}

// TestNothingChanges: whatever is wrong with the new binary or its configuration, the old process goes on, and the
// command and the log say why.
func TestNothingChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(n *harness.Node)
		more   []string
		why    string
		logged bool
	}{
		{"crash", func(n *harness.Node) { script(n, "exit 3") }, nil, "exited with status 3 before it was ready", true},
		{"signal", func(n *harness.Node) { script(n, "kill -9 $$") }, nil, "signal: killed before it was ready", true},
		{"late", func(n *harness.Node) { script(n, "exec sleep 100") }, []string{"--wait", "1s"}, "was not ready within 1s: it has not loaded its configuration", true},
		{"missing", func(n *harness.Node) {
			if err := os.Remove(n.Program); err != nil {
				n.T.Fatal(err)
			}
		}, nil, "cannot start", true},
		{"syntax", func(n *harness.Node) { n.Configure(small + "nonsense;") }, nil, `unknown directive "nonsense"`, false},
		{"certificate", func(n *harness.Node) {
			tls := "listen {{.IP}}:8080; listen {{.IP}}:8443 ssl; ssl_certificate none.pem; ssl_certificate_key none.key;"
			n.Configure(strings.Replace(small, "listen {{.IP}}:8080;", tls, 1))
		}, nil, "none.pem", true},
		{"address", func(n *harness.Node) {
			l, err := net.Listen("tcp", n.IP+":8081")
			if err != nil {
				n.T.Fatal(err)
			}
			n.T.Cleanup(func() { l.Close() })
			n.Configure(strings.Replace(small, "listen {{.IP}}:8080;", "listen {{.IP}}:8080; listen {{.IP}}:8081;", 1))
		}, nil, "bind() to ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := alone(t)
			n.Excused = "["
			pid := n.PID()
			c.spoil(n)
			out, err := command(n, c.more...)
			if err == nil || !strings.Contains(out, c.why) || !strings.Contains(out, "goes on serving") {
				t.Errorf("the command said: %v\n%s", err, out)
			}
			if c.logged {
				n.WaitLog(c.why)
			}
			serves(n, pid)
			n.Wants(200, "before", "GET", "/?text=k", "")
			n.Wants(204, "*", "PATCH", harness.SetOne, `{"k":"after"}`)
			for _, name := range []string{"starling.pid.oldbin", "starling.pid.upgrade", "starling.pid.upgraded"} {
				if _, err := os.Stat(filepath.Join(n.Dir, name)); !os.IsNotExist(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			n.Configure(small) // and once it is mended, the upgrade works
			install(n, harness.Binary)
			upgrade(n)
			n.Wants(200, "after", "GET", "/?text=k", "")
		})
	}
}
