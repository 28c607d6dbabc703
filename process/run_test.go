package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// countingFS counts how often a file is opened.
type countingFS struct {
	fs.FS
	name  string
	opens int
}

func (c *countingFS) Open(name string) (fs.File, error) {
	if name == c.name {
		c.opens++
	}
	return c.FS.Open(name)
}

// Stat keeps fs.Stat from opening the file.
func (c *countingFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(c.FS, name) }

// A process in the foreground need not know "daemon" before it starts: a large configuration is parsed once.
func TestForegroundReadsConfigurationOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	// The start fails when everything is read: the folder of the socket is missing.
	text := fmt.Sprintf("events { } http { server { listen unix:%s/missing/socket; } }", dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := flags{prefix: dir, conf: path, errorLog: filepath.Join(dir, "error.log")}
	o, err := f.options()
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingFS{FS: o.FS, name: path[1:]}
	o.FS, o.Foreground = counted, true
	b := newBootLog(o)
	defer b.close()
	if status := b.run(o, nil, nil); status != 1 {
		t.Errorf("status %d", status)
	}
	log, err := os.ReadFile(o.ErrorLog)
	if err != nil {
		t.Fatal(err)
	}
	if counted.opens != 1 {
		t.Errorf("the configuration was opened %d times, want once; the log:\n%s", counted.opens, log)
	}
}

// A watched file that changes while the process does not serve is not forgotten: the change waits until it does.
func TestChangesWaitWhileAnotherProcessServes(t *testing.T) {
	changed := make(chan string, 1)
	for _, test := range []struct {
		name string
		s    *running
		may  bool
	}{
		{"alone", &running{}, true},
		{"paused", &running{paused: true}, false},
		{"shutting down", &running{quitting: true}, false},
		{"before the new process serves", &running{sibling: &sibling{serving: true}}, false},
		{"while the new process serves", &running{sibling: &sibling{handed: true}}, false},
		{"the new process", &running{sibling: &sibling{serving: true, handed: true}}, true},
	} {
		test.s.changed = changed
		changed <- "/certs"
		select {
		case <-test.s.changes():
			if !test.may {
				t.Errorf("%s: it takes the change", test.name)
			}
		default:
			if test.may {
				t.Errorf("%s: it does not take the change", test.name)
			}
			<-changed
		}
	}
}
