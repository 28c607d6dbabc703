package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// smallDisk gives a node a disk of its own of so many KB, or skips the test and says why.
func smallDisk(n *harness.Node, name string, kb int) string {
	n.T.Helper()
	path := filepath.Join(n.Dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		n.T.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dk", kb)); err != nil {
		n.T.Skipf("a disk that can be filled cannot be made here: %v", err)
	}
	n.T.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			n.T.Error(err)
		}
	})
	return path
}

// fill takes what is left of a disk.
func fill(t *testing.T, disk string) (file string) {
	t.Helper()
	file = filepath.Join(disk, "of somebody else")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return file
}

// TestAFullDisk: a node whose state file has no room goes on from memory, says so, and acknowledges nothing that a
// crash would take.
func TestAFullDisk(t *testing.T) {
	cl := harness.NewCluster(t, 2)
	n, peer := cl.Nodes[0], cl.Nodes[1]
	disk := smallDisk(n, "disk", 256)
	onDisk := strings.Replace(harness.KeyvalHTTP, "32k state={{.Dir}}/state.one.keyval", "1m state={{.Dir}}/disk/one.keyval", 1)
	inMemory := strings.Replace(harness.KeyvalHTTP, "32k state={{.Dir}}/state.one.keyval", "1m", 1)
	n.Configure(onDisk + harness.Members)
	peer.Configure(inMemory + harness.Members)
	n.Start()
	peer.Start()
	cl.Joined(2)
	n.Wants(201, "*", "POST", harness.SetOne, `{"early":"1"}`)
	full := fill(t, disk)

	// Pages that the log has already may take some more.
	acknowledged, refused := untilRefused(n, "k")
	if !strings.Contains(refused, "500") || !strings.Contains(refused, "no space left on device") {
		t.Errorf("a write to a full disk was answered %s", refused)
	}
	n.WaitLog(`one.keyval.log"; writes to zone "one" are not acknowledged`)
	n.WaitLog("No space left on device")

	n.Sees("/api/9/starling/unsaved_files?fields=total", `{"total":1}`)

	// Clients and peers are served from memory.
	peer.Sees("/?text=early", "1")
	peer.Wants(201, "*", "POST", harness.SetOne, `{"of the peer":"2"}`)
	n.Sees("/api/9/http/keyvals/one?key=of%20the%20peer", `{"of the peer":"2"}`)
	n.Wants(200, "1", "GET", "/?text=early", "")

	// What was acknowledged is there after a crash of both, though the disk is still full.
	n.Kill()
	peer.Kill()
	n.Start()
	n.Wants(200, "1", "GET", "/?text=early", "")
	for i := range acknowledged {
		n.Wants(200, "v", "GET", fmt.Sprintf("/?text=k%d", i), "")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.Wants(201, "*", "POST", harness.SetOne, `{"late":"3"}`)
	peer.Start()

	// A disk that is full for a while only: when there is room again, writes are acknowledged without a restart, and
	// kept.
	full = fill(t, disk)
	untilRefused(n, "l")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.WaitLog("is writable again; acknowledging writes")
	n.Sees("/api/9/starling/unsaved_files", `{"total":0,"files":[]}`)
	n.Wants(201, "*", "POST", harness.SetOne, `{"last":"4"}`)
	n.Kill()
	n.Start()
	n.Wants(200, "4", "GET", "/?text=last", "")
	n.Wants(200, "1", "GET", "/?text=early", "")
}

// TestAFullDiskOfASharedUpstream: a change that could not be saved is, when there is room again, without another change.
func TestAFullDiskOfASharedUpstream(t *testing.T) {
	n := harness.NewCluster(t, 1).Nodes[0]
	disk := smallDisk(n, "disk", 64)
	n.Configure(`http {
	upstream app { zone app 64k sync; state {{.Dir}}/disk/app.conf; }
	server { listen {{.IP}}:8080; location /api { api write=on; } }
}
` + harness.Members)
	n.Start()
	const servers, unsaved = "/api/9/http/upstreams/app/servers", "/api/9/starling/unsaved_files?fields=total"
	n.Wants(201, "*", "POST", servers, `{"server":"127.0.0.1:1"}`)
	n.Sees(unsaved, `{"total":0}`)
	full := fill(t, disk)
	if r := n.Must("PATCH", servers+"/0", `{"weight":7}`); r.Status != 500 || !strings.Contains(r.Body, "not saved on this one") {
		t.Errorf("a change with a full disk: %d %s", r.Status, r.Body)
	}
	n.Sees(unsaved, `{"total":1}`)
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.Sees(unsaved, `{"total":0}`)
	n.Kill()
	n.Start()
	if r := n.Must("GET", servers+"/0", ""); !strings.Contains(r.Body, `"weight":7`) {
		t.Errorf("after a restart: %d %s", r.Status, r.Body)
	}
}

// untilRefused adds pairs PREFIX0, PREFIX1, … until one is refused. It returns how many were acknowledged, and the
// refusal.
func untilRefused(n *harness.Node, prefix string) (acknowledged int, refused string) {
	n.T.Helper()
	testkit.Eventually(n.T, harness.Patience, func() error {
		for {
			r, err := n.Do("POST", harness.SetOne, fmt.Sprintf(`{"%s%d":"v"}`, prefix, acknowledged))
			if err != nil {
				return err
			}
			if r.Status != 201 {
				refused = fmt.Sprint(r.Status, " ", r.Body)
				return nil
			}
			acknowledged++
		}
	})
	return acknowledged, refused
}
