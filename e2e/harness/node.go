package harness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"text/template"
)

// Node is one running starling. Configuration templates may use its fields and methods.
type Node struct {
	T       *testing.T
	cluster *Cluster
	Name    string // node1
	IP      string // its own loopback address
	Dir     string // prefix: configuration, logs, state, certificates

	// inside runs a function in the node's network namespace; nil means in this one.
	inside func(func() error) error

	// Excused is a text whose lines in the log are expected, at any level.
	Excused string

	// Program is the binary, if it is not Binary.
	Program string
	// heir is the process that has replaced the first one, and heirs all such; see Inherited.
	heir  int
	heirs []int

	// Config is the last text written by Configure.
	Config string
	cmd    *exec.Cmd
	exited chan struct{}
	stderr LockedBuffer
}

// Unstarted is a node that is never started.
func Unstarted(t *testing.T) *Node {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Node{T: t, IP: "127.0.0.1", Dir: dir, cluster: &Cluster{Net: "127.0.0"}}
}

// Others are the addresses of all nodes of the cluster, including its own, as a shared configuration has them.
func (n *Node) Others() []string {
	var out []string
	for _, o := range n.cluster.Nodes {
		out = append(out, o.IP)
	}
	return out
}

// Net is the first three bytes of the addresses of this test.
func (n *Node) Net() string { return n.cluster.Net }

// Write writes a file into the node's folder.
func (n *Node) Write(name, text string) {
	n.T.Helper()
	if err := os.WriteFile(filepath.Join(n.Dir, name), []byte(text), 0o600); err != nil {
		n.T.Fatal(err)
	}
}

// Configure writes the node's configuration from a template over the node.
func (n *Node) Configure(text string) {
	n.T.Helper()
	tpl, err := template.New("conf").
		Parse("daemon off;\npid {{.Dir}}/starling.pid;\nerror_log {{.Dir}}/error.log info;\n" +
			"events {}\n" + text)
	if err != nil {
		n.T.Fatal(err)
	}
	var out bytes.Buffer
	if err := tpl.Execute(&out, n); err != nil {
		n.T.Fatal(err)
	}
	n.Config = out.String()
	n.Write("nginx.conf", n.Config)
}
