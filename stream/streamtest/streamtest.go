// Package streamtest starts the stream side of a configuration text in a test and talks to it.
package streamtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
	"starling/stream"
)

// confPath is the path of a test's configuration; paths in it are relative to its folder.
const confPath = "/test.conf"

// patience limits each wait for a response.
const patience = time.Minute

// Log is an error log that keeps its lines.
type Log struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // a line has come since the last look
}

// Logf implements logs.Logger.
func (l *Log) Logf(level logs.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, "["+level.String()+"] "+fmt.Sprintf(format, errno.Args(args)...))
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Enabled implements logs.Logger.
func (l *Log) Enabled(logs.Level) bool { return true }

// Lines returns the lines written since the last call.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// Await waits for a line that contains text and returns it. It drops the lines before.
func (l *Log) Await(t testing.TB, text string) string {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		for i, line := range l.lines {
			if strings.Contains(line, text) {
				l.lines = l.lines[i+1:]
				l.mu.Unlock()
				return line
			}
		}
		l.mu.Unlock()
		select {
		case <-l.more:
		case <-late.C:
			t.Fatalf("no line %q in the error log: %q", text, l.Lines())
		}
	}
}

// Server is a running stream block.
type Server struct {
	Site *stream.Site
	Plan *plan.Plan
	Log  *Log

	t         testing.TB
	addresses []net.Addr
}

// Files are available to the configuration by name, for certificates.
type Files map[string][]byte

// Build makes the site of a configuration text, or returns its first problem. The first of the modules is the core,
// which this package cannot import: it is in a higher layer.
func Build(t testing.TB, text string, files Files, modules ...*stream.Module) (*Server, error) {
	t.Helper()
	list := make([]*conf.Module, len(modules))
	for i, m := range modules {
		list[i] = &m.Module
	}
	binder, err := conf.NewBinder(list)
	if err != nil {
		t.Fatal(err)
	}
	disk := fstest.MapFS{confPath[1:]: {Data: []byte(text)}}
	for name, data := range files {
		disk[name] = &fstest.MapFile{Data: data}
	}
	s := &Server{t: t, Log: &Log{more: make(chan struct{}, 1)}, Plan: plan.New()}
	s.Plan.Prefix, s.Plan.ConfDir, s.Plan.FS, s.Plan.Log = t.TempDir()+"/", "/", disk, s.Log
	if err := stream.Prepare(s.Plan, modules); err != nil {
		t.Fatal(err)
	}
	tree, _ := conf.Parse(disk, confPath) // its problem is among those of Bind
	bound := binder.Bind(tree, s.Plan)
	if err := bound.Err(); err != nil {
		return nil, err
	}
	for _, z := range s.Plan.Zones.Undeclared() {
		return nil, &conf.Problem{
			What: fmt.Sprintf("zero size shared memory zone \"%s\"", z.Name),
			File: z.File,
			Line: z.Line,
		}
	}
	if errs := s.Plan.Link(); len(errs) > 0 {
		return nil, errs[0]
	}
	s.Site, err = stream.Build(s.Plan, bound.Top.All("stream")[0], modules)
	var problems conf.Problems
	if errors.As(err, &problems) {
		return nil, problems[0]
	}
	return s, errors.Join(append(s.Plan.Load(), err)...)
}

// Start builds and serves a configuration text, with each port on a separate address.
func Start(t testing.TB, text string, files Files, modules ...*stream.Module) *Server {
	t.Helper()
	s, err := Build(t, text, files, modules...)
	if err != nil {
		t.Fatal(err)
	}
	stream.SetHandoff(s.Plan, s.find)
	var serving sync.WaitGroup
	var listeners []net.Listener
	for _, p := range s.Site.Ports() {
		l, err := listen(p)
		if err != nil {
			t.Fatal(err)
		}
		s.addresses = append(s.addresses, l.Addr())
		serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() { p.Serve(conn) })
			}
		})
		listeners = append(listeners, l)
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		s.Site.Close()
		serving.Wait()
		<-s.Site.Drained() // sessions can continue without a goroutine
		s.Plan.Logs.Close()
	})
	return s
}

func listen(p side.Port) (net.Listener, error) {
	if p.Transport != nil {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		return p.Transport.Listen(socket, func(net.Addr) side.ConnHandler { return p.ConnHandler })
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// find returns the server of an address of the configuration, for `pass`.
func (s *Server) find(to sockaddr.Addr) side.ConnHandler {
	for _, p := range s.Site.Ports() {
		if p.Addr == to {
			return p.ConnHandler
		}
	}
	return nil
}

// Dial connects to the n-th port.
func (s *Server) Dial(n int) net.Conn {
	s.t.Helper()
	conn, err := net.Dial(s.addresses[n].Network(), s.addresses[n].String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// Ask connects to the n-th port and returns everything it sends until it closes.
func (s *Server) Ask(n int) string {
	s.t.Helper()
	text, err := io.ReadAll(s.Dial(n))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// Problem returns the first problem of a configuration text, "" if it has none.
func Problem(t testing.TB, text string, modules ...*stream.Module) string {
	t.Helper()
	if _, err := Build(t, text, nil, modules...); err != nil {
		return err.Error()
	}
	return ""
}
