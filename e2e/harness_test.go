// Package e2e starts the real binary with real configurations and looks at it from outside.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"

	"starling/lib/certs"
	"starling/lib/resolver/resolvertest"
	"starling/lib/testkit"
)

// patience bounds every wait of these tests; a healthy run needs a small part of it even on a loaded machine.
const patience = time.Minute

// binary is the path of the starling built for this run.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "starling-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "starling")
	build := exec.Command("go", "build", "-o", binary, "starling")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building starling:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// node is one running starling. Its fields and methods are what configuration templates may use.
type node struct {
	t       *testing.T
	cluster *cluster
	Name    string // node1
	IP      string // its own loopback address
	Dir     string // prefix: configuration, logs, state, certificates

	// inside runs a function where the node lives: on another host's network. nil is here.
	inside func(func() error) error

	// excused is a text whose lines in the log are expected, whatever their level.
	excused string

	config string
	cmd    *exec.Cmd
	exited chan struct{}
	stderr lockedBuffer
}

// cluster is a set of nodes on loopback addresses of their own, with certificates of one authority.
type cluster struct {
	t     *testing.T
	Nodes []*node
	ca    *certs.Authority
	// Net is the first three bytes of the addresses of this test.
	Net   string
	names *resolvertest.Server
}

// nets gives every test of this process a network of its own below 127.0.0.0/8: 256 of them, more than run at once.
var nets atomic.Int32

// newCluster makes n nodes, not yet started, that differ only in their address and folder.
func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	t.Parallel()
	ca, err := certs.NewAuthority("e2e authority")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ca: ca, Net: fmt.Sprintf("127.%d.%d", 64+os.Getpid()%128, nets.Add(1)%256)}
	for range n {
		c.add()
	}
	return c
}

// add makes one more node.
func (c *cluster) add() *node {
	c.t.Helper()
	i := len(c.Nodes) + 1
	n := &node{t: c.t, cluster: c, Name: fmt.Sprintf("node%d", i), IP: fmt.Sprintf("%s.%d", c.Net, i), Dir: c.t.TempDir()}
	cert, key, err := c.ca.Issue(n.Name+".example.com", n.IP)
	if err != nil {
		c.t.Fatal(err)
	}
	// Where the test is root the node becomes nobody, who has to reach its documents.
	if err := errors.Join(os.Mkdir(filepath.Join(n.Dir, "logs"), 0o700), os.Chmod(filepath.Dir(n.Dir), 0o755)); err != nil {
		c.t.Fatal(err)
	}
	n.write("cert.pem", string(cert))
	n.write("key.pem", string(key))
	n.write("ca.pem", string(c.ca.PEM))
	c.Nodes = append(c.Nodes, n)
	c.t.Cleanup(n.cleanup)
	return n
}

// Others are the addresses of all nodes of the cluster, the own one included, as a shared configuration has them.
func (n *node) Others() []string {
	var out []string
	for _, o := range n.cluster.Nodes {
		out = append(out, o.IP)
	}
	return out
}

// Net is the first three bytes of the addresses of this test.
func (n *node) Net() string { return n.cluster.Net }

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.Dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// configure writes the node's configuration from a template over the node.
func (n *node) configure(text string) {
	n.t.Helper()
	tpl, err := template.New("conf").Parse("daemon off;\npid {{.Dir}}/starling.pid;\nerror_log {{.Dir}}/error.log info;\n" +
		"events {}\n" + text)
	if err != nil {
		n.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tpl.Execute(&out, n); err != nil {
		n.t.Fatal(err)
	}
	n.config = out.String()
	n.write("nginx.conf", n.config)
}

// start runs the node and waits for its pid file: then everything listens.
func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(binary, "-p", n.Dir+"/", "-c", "nginx.conf", "-e", "error.log")
	n.cmd.Stderr = &n.stderr
	n.exited = make(chan struct{})
	if err := n.there(n.cmd.Start); err != nil {
		n.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(exited)
	}(n.cmd, n.exited)
	testkit.Eventually(n.t, patience, func() error {
		select {
		case <-n.exited:
			n.t.Fatalf("%s did not start: %s%s\n%s", n.Name, n.stderr.String(), n.log(), n.config)
		default:
		}
		_, err := os.Stat(filepath.Join(n.Dir, "starling.pid"))
		return err
	})
}

// there runs a function on the network of the node.
func (n *node) there(fn func() error) error {
	if n.inside == nil {
		return fn()
	}
	return n.inside(fn)
}

// dial connects to a port of the node, from its own host.
func (n *node) dial(port string) (conn net.Conn, err error) {
	err = n.there(func() (err error) {
		conn, err = net.DialTimeout("tcp", n.IP+":"+port, patience)
		return err
	})
	return conn, err
}

// signal sends a signal to the node.
func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("%s: %v", n.Name, err)
	}
}

// wait waits for the node to end and returns its exit status; -1 if a signal ended it.
func (n *node) wait() int {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(patience):
		for _, s := range []syscall.Signal{syscall.SIGABRT, syscall.SIGCONT} { // it says where it stands, and nothing is left behind
			_ = n.cmd.Process.Signal(s)
		}
		<-n.exited
		n.t.Fatalf("%s does not end\n%s\n%s", n.Name, n.log(), n.stderr.String())
	}
	return n.cmd.ProcessState.ExitCode()
}

// quit stops the node gracefully and wants it to end with status 0.
func (n *node) quit() {
	n.t.Helper()
	n.signal(syscall.SIGQUIT)
	if code := n.wait(); code != 0 {
		n.t.Errorf("%s ended with status %d after QUIT\n%s", n.Name, code, n.log())
	}
}

// kill ends the node at once, as a power cut would.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.wait()
	// The pid file of a killed node stays; it must not make the next start look ready.
	if err := os.Remove(filepath.Join(n.Dir, "starling.pid")); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// cleanup ends the node and looks for what no log should hold.
func (n *node) cleanup() {
	if n.running() {
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			n.t.Error(err)
		}
		n.wait()
	}
	if n.cmd == nil {
		return
	}
	for line := range strings.Lines(n.stderr.String() + n.log()) {
		for _, bad := range []string{"[alert]", "[emerg]", "panic", "goroutine "} {
			if strings.Contains(line, bad) && (n.excused == "" || !strings.Contains(line, n.excused)) {
				n.t.Errorf("%s wrote: %s", n.Name, line)
			}
		}
	}
	if n.t.Failed() {
		n.t.Logf("%s at %s, log:\n%s%s", n.Name, n.IP, n.stderr.String(), n.log())
	}
}

// log is the node's error log so far.
func (n *node) log() string {
	text, err := os.ReadFile(filepath.Join(n.Dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// waitLog waits until the node's log has a text.
func (n *node) waitLog(want string) {
	n.t.Helper()
	testkit.Eventually(n.t, patience, func() error {
		if log := n.log(); !strings.Contains(log, want) {
			return fmt.Errorf("%s has not logged %q:\n%s", n.Name, want, log)
		}
		return nil
	})
}

// lockedBuffer collects what a process prints while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reply is what came back for one request.
type reply struct {
	status int
	body   string
	header http.Header
}

// dialURL connects where a URL says, from the node's host.
func (n *node) dialURL(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.there(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// do sends a request to the node's http port and reads the whole reply. headers are names and values in turn.
func (n *node) do(method, path, body string, headers ...string) (reply, error) {
	url := path
	if strings.HasPrefix(path, "/") {
		url = "http://" + n.IP + ":8080" + path
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if strings.EqualFold(headers[i], "Host") {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.dialURL},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(text), resp.Header}, err
}

// must is do for requests whose transport may not fail.
func (n *node) must(method, path, body string, headers ...string) reply {
	n.t.Helper()
	r, err := n.do(method, path, body, headers...)
	if err != nil {
		n.t.Fatalf("%s %s at %s: %v\n%s", method, path, n.Name, err, n.log())
	}
	return r
}

// wants sends a request and compares status and body.
func (n *node) wants(status int, body, method, path, send string, headers ...string) {
	n.t.Helper()
	if r := n.must(method, path, send, headers...); r.status != status || body != "*" && r.body != body {
		n.t.Errorf("%s %s at %s: %d %q, want %d %q", method, path, n.Name, r.status, r.body, status, body)
	}
}

// sees waits until a GET of a path gives a body.
func (n *node) sees(path, body string) {
	n.t.Helper()
	testkit.Eventually(n.t, patience, func() error {
		r, err := n.do("GET", path, "")
		if err == nil && r.body != body {
			err = fmt.Errorf("GET %s at %s: %d %q, want %q", path, n.Name, r.status, r.body, body)
		}
		return err
	})
}
