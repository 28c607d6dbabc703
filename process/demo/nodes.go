package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"starling/lib/certs"
	"starling/lib/plural"
)

// patience limits each wait of the demo; a machine that needs longer has another problem.
const patience = time.Minute

// pollEvery is the interval of checks during a wait.
const pollEvery = 10 * time.Millisecond

// cluster is the set of nodes in one folder.
type cluster struct {
	dir   string
	exe   string // this program
	out   io.Writer
	nodes []*node
}

// node is one starling process.
type node struct {
	name, ip, dir string
	exe           string // the program
	cmd           *exec.Cmd
	exited        chan struct{}
}

// write makes the folders, certificates and configurations of all nodes.
func (c *cluster) write() error {
	ca, err := certs.NewAuthority("starling demo")
	if err != nil {
		return err
	}
	for i := 1; i <= nodeCount; i++ {
		n := &node{name: fmt.Sprintf("node%d", i), ip: address(i), exe: c.exe}
		n.dir = filepath.Join(c.dir, n.name)
		cert, key, err := ca.Issue(n.name+".example.com", n.ip)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(n.dir, "state"), 0o700); err != nil {
			return err
		}
		for name, text := range map[string]string{
			"cert.pem": string(cert), "key.pem": string(key), "ca.pem": string(ca.PEM),
			"nginx.conf": configuration(n, nodeCount),
			"start":      fmt.Sprintf("#!/bin/sh\nexec '%s' -p '%s/' -c nginx.conf -e error.log\n", n.exe, n.dir),
		} {
			if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o700); err != nil {
				return err
			}
		}
		c.nodes = append(c.nodes, n)
	}
	return nil
}

func (n *node) conf() string { return filepath.Join(n.dir, "nginx.conf") }

func (n *node) url(path string) string { return fmt.Sprintf("http://%s:%d%s", n.ip, httpPort, path) }

// start runs the node and returns once it listens.
func (n *node) start() error {
	n.cmd = exec.Command(n.exe, "-p", n.dir+"/", "-c", "nginx.conf", "-e", "error.log")
	// A process group of its own, so that ctrl-c in the terminal reaches only the demo, which then stops the nodes in
	// order.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	n.cmd.Stderr = &said
	n.exited = make(chan struct{})
	if err := n.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // read from ProcessState afterwards
		close(exited)
	}(n.cmd, n.exited)
	return eventually(context.Background(), func() error {
		select {
		case <-n.exited:
			return fatal{fmt.Errorf("%s did not start: %s", n.name, said.String())}
		default:
		}
		_, err := os.Stat(filepath.Join(n.dir, "starling.pid"))
		return err
	})
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

// quit shuts the node down gracefully and expects status 0.
func (n *node) quit() error {
	if !n.running() {
		return nil
	}
	if err := n.cmd.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-n.exited:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s did not exit within %v of SIGQUIT", n.name, patience), n.cmd.Process.Kill())
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s exited with status %d", n.name, code)
	}
	return nil
}

// stop ends all running nodes.
func (c *cluster) stop() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.quit())
	}
	return errors.Join(errs...)
}

// joined waits until every running node is connected to so many others.
func (c *cluster) joined(ctx context.Context, others int) error {
	for _, n := range c.nodes {
		if !n.running() {
			continue
		}
		if err := eventually(ctx, func() error {
			s, err := n.status(ctx)
			if err == nil && s.Status.NodesOnline != others {
				err = fmt.Errorf("%s is connected to %d of %d other nodes", n.name, s.Status.NodesOnline, others)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// syncStatus is the part of /stream/zone_sync that the demo shows.
type syncStatus struct {
	Zones map[string]struct {
		Pending int `json:"records_pending"`
		Total   int `json:"records_total"`
	} `json:"zones"`
	Status struct {
		NodesOnline int `json:"nodes_online"`
	} `json:"status"`
}

func (n *node) status(ctx context.Context) (syncStatus, error) {
	var s syncStatus
	code, body, err := n.request(ctx, "GET", "/api/9/stream/zone_sync", "")
	if err != nil {
		return s, err
	}
	if code != http.StatusOK {
		return s, fmt.Errorf("%s says %d to /stream/zone_sync: %s", n.name, code, body)
	}
	return s, json.Unmarshal([]byte(body), &s)
}

// view is a line for each node.
func (c *cluster) view(ctx context.Context) string {
	var b strings.Builder
	for _, n := range c.nodes {
		s, err := n.status(ctx)
		if err != nil {
			fmt.Fprintf(&b, "  %s  not answering\n", n.name)
			continue
		}
		fmt.Fprintf(&b, "  %s  online %d", n.name, s.Status.NodesOnline)
		for _, zone := range []string{"one", "req", "sessions"} {
			z := s.Zones[zone]
			fmt.Fprintf(&b, "   %s: %s, %d pending", zone, plural.Of(z.Total, "record", "records"), z.Pending)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// request sends one request to the node. headers are names and values in turn.
func (n *node) request(ctx context.Context, method, path, body string, headers ...string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.url(path), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// fatal ends a wait early.
type fatal struct{ error }

// eventually waits until check returns nil.
func eventually(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if f := (fatal{}); err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("timed out: %w", err)
		case <-tick.C:
		}
	}
}
