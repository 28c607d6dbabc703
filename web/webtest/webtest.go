// Package webtest starts the http side of a configuration text in a test and talks to it.
package webtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"starling/admin"
	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/plan"
	"starling/web"
)

// confPath is the path of a test's configuration; paths in it are relative to its folder and to the prefix.
const confPath = "/test.conf"

// Log is an error log that keeps its lines.
type Log struct {
	lines chan string
}

// maxLogLines is more than any test writes; further lines are dropped rather than block the server.
const maxLogLines = 10000

func newLog() *Log { return &Log{lines: make(chan string, maxLogLines)} }

// Logf implements logs.Logger.
func (l *Log) Logf(level logs.Level, format string, args ...any) {
	select {
	case l.lines <- "[" + level.String() + "] " + fmt.Sprintf(format, errno.Args(args)...):
	default:
	}
}

// Enabled implements logs.Logger.
func (l *Log) Enabled(logs.Level) bool { return true }

// Lines returns the lines written since the last call.
func (l *Log) Lines() (lines []string) {
	for {
		select {
		case line := <-l.lines:
			lines = append(lines, line)
		default:
			return lines
		}
	}
}

// Server is the http side of one configuration.
type Server struct {
	Site *web.Site
	Plan *plan.Plan
	Log  *Log
	t    testing.TB
}

// Option changes the plan before the configuration is bound.
type Option func(p *plan.Plan)

// Prefix sets the base folder of roots and logs.
func Prefix(dir string) Option { return func(p *plan.Plan) { p.Prefix = dir } }

// After makes the configuration follow the one running in a server, like a reload.
func After(s *Server) Option { return func(p *plan.Plan) { p.Old, p.Clock = s.Plan, s.Plan.Clock } }

// File adds a file that the configuration can read by absolute path.
func File(path, text string) Option {
	return func(p *plan.Plan) {
		p.FS.(fstest.MapFS)[strings.TrimPrefix(filepath.Clean(path), "/")] = &fstest.MapFile{Data: []byte(text)}
	}
}

// Load binds and builds the contents of an http block. Its error is the first problem, with nginx's text.
func Load(t testing.TB, modules []*web.Module, text string, options ...Option) (*Server, error) {
	t.Helper()
	s := &Server{t: t, Log: newLog(), Plan: plan.New()}
	fsys := fstest.MapFS{strings.TrimPrefix(confPath, "/"): {Data: []byte("http {" + text + "\n}\n")}}
	s.Plan.Prefix, s.Plan.ConfDir, s.Plan.FS, s.Plan.Log = t.TempDir(), "/", fsys, s.Log
	for _, o := range options {
		o(s.Plan)
	}
	list := make([]*conf.Module, len(modules))
	for i, m := range modules {
		list[i] = &m.Module
	}
	binder, err := conf.NewBinder(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := web.Prepare(s.Plan, modules); err != nil {
		t.Fatal(err)
	}
	tree, err := conf.Parse(fsys, confPath)
	if err != nil {
		return nil, err
	}
	bound := binder.Bind(tree, s.Plan)
	for _, w := range bound.Warnings {
		s.Log.Logf(logs.Warn, "%v", w)
	}
	if err := bound.Err(); err != nil {
		return nil, err
	}
	if errs := s.Plan.Link(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if s.Site, err = web.Build(s.Plan, bound.Top.All("http")[0], modules); err != nil {
		return nil, first(err)
	}
	if errs := s.Plan.Load(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := s.Plan.Start(t.Context()); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		s.Site.Close()
		<-s.Site.Drained()
		s.Plan.Retire() // nothing may write to the folder any more: the test removes it
	})
	return s, nil
}

// first is the problem that nginx would print.
func first(err error) error {
	var many conf.Problems
	if errors.As(err, &many) && len(many) > 0 {
		return many[0]
	}
	return err
}

// Start is Load for valid configurations.
func Start(t testing.TB, modules []*web.Module, text string, options ...Option) *Server {
	t.Helper()
	s, err := Load(t, modules, text, options...)
	if err != nil {
		t.Fatalf("the configuration: %v", err)
	}
	return s
}

// Dial connects to the first port through a pipe.
func (s *Server) Dial() net.Conn { return s.DialPort(0) }

// DialPort connects to one of the site's ports through a pipe.
func (s *Server) DialPort(i int) net.Conn {
	client, server := net.Pipe()
	go s.Site.Ports()[i].Serve(server)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// DialLoopback connects to the first port through real sockets.
func (s *Server) DialLoopback() net.Conn { return s.DialLoopbackPort(0) }

// DialLoopbackPort connects to one of the site's ports through real sockets.
func (s *Server) DialLoopbackPort(i int) net.Conn {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			s.t.Error(err)
		}
		accepted <- conn
	}()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	go s.Site.Ports()[i].Serve(<-accepted)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// Patience is how long a test waits for bytes or a condition before it fails.
const Patience = time.Minute

// CRLF ends the lines of a head.
const CRLF = "\r\n"

// Send sends raw bytes on a new connection and returns everything received until the server closes it.
func (s *Server) Send(raw string) string {
	s.t.Helper()
	conn := s.Dial()
	defer conn.Close()
	go io.WriteString(conn, raw) // ends early if the server closes early
	conn.SetReadDeadline(time.Now().Add(Patience))
	all, err := io.ReadAll(conn)
	if err != nil {
		s.t.Errorf("after %q: %v", all, err)
	}
	return string(all)
}

// Get sends a GET with HTTP/1.0 semantics of closing and more header lines ("Name: value"), and returns the raw
// response.
func (s *Server) Get(target string, headers ...string) string {
	s.t.Helper()
	raw := "GET " + target + " HTTP/1.1\r\nConnection: close\r\n"
	host := "Host: localhost\r\n"
	for _, h := range headers {
		if strings.HasPrefix(strings.ToLower(h), "host:") {
			host = ""
		}
		raw += h + "\r\n"
	}
	return s.Send(raw + host + "\r\n")
}

// Response is one response, read by net/http.
type Response struct {
	*http.Response
	Text string
}

// Client is a connection that sends several requests.
type Client struct {
	Conn   net.Conn
	t      testing.TB
	reader *bufio.Reader
}

// Resource is a branch of the API that the families of the server offer, by its path.
func (s *Server) Resource(path string) admin.Resource {
	s.t.Helper()
	for _, r := range s.Site.Resources() {
		if r.Path == path {
			return r
		}
	}
	s.t.Fatalf("the API has no %s", path)
	return admin.Resource{}
}

// Client opens a connection through a pipe.
func (s *Server) Client() *Client { return s.on(s.Dial()) }

// LoopbackClient opens a connection through real sockets.
func (s *Server) LoopbackClient() *Client { return s.on(s.DialLoopback()) }

func (s *Server) on(conn net.Conn) *Client {
	return &Client{Conn: conn, t: s.t, reader: bufio.NewReader(conn)}
}

// Do sends a raw request and reads its response.
func (c *Client) Do(raw string) Response {
	c.t.Helper()
	c.Write(raw)
	method, _, _ := strings.Cut(raw, " ")
	return c.Read(method)
}

// Write sends raw bytes without waiting for the server to take them.
func (c *Client) Write(raw string) { go io.WriteString(c.Conn, raw) } // ends early if the server closes early

// Read reads the response to a request of that method.
func (c *Client) Read(method string) Response {
	c.t.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(Patience))
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("the body ends after %q: %v", body, err)
	}
	return Response{response, string(body)}
}

// Closed fails the test unless the server closes the connection without another byte.
func (c *Client) Closed() {
	c.t.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(Patience))
	if b, err := c.reader.ReadByte(); err == nil {
		c.t.Fatalf("the server sent %q where it should have closed", b)
	} else if isTimeout(err) {
		c.t.Fatal("the server did not close the connection")
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
