package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"starling/lib/testkit"
)

// smallDisk gives a node a disk of its own of so many KB, or skips the test and says why.
func (n *node) smallDisk(name string, kb int) string {
	n.t.Helper()
	path := filepath.Join(n.Dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dk", kb)); err != nil {
		n.t.Skipf("a disk that can be filled cannot be made here: %v", err)
	}
	n.t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			n.t.Error(err)
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

// TestAFullDisk: a node whose state file has no room goes on from memory, says so, and acknowledges nothing that a crash would take.
func TestAFullDisk(t *testing.T) {
	cl := newCluster(t, 2)
	n, peer := cl.Nodes[0], cl.Nodes[1]
	disk := n.smallDisk("disk", 256)
	onDisk := strings.Replace(keyvalHTTP, "32k state={{.Dir}}/state.one.keyval", "1m state={{.Dir}}/disk/one.keyval", 1)
	inMemory := strings.Replace(keyvalHTTP, "32k state={{.Dir}}/state.one.keyval", "1m", 1)
	n.configure(onDisk + members)
	peer.configure(inMemory + members)
	n.start()
	peer.start()
	cl.joined(2)
	n.wants(201, "*", "POST", setOne, `{"early":"1"}`)
	full := fill(t, disk)

	// Pages that the log has already may take some more.
	acknowledged, refused := n.untilRefused("k")
	if !strings.Contains(refused, "500") || !strings.Contains(refused, "no space left on device") {
		t.Errorf("a write to a full disk was answered %s", refused)
	}
	n.waitLog(`one.keyval.log" cannot be written, so writes to zone "one" are not acknowledged`)
	n.waitLog("No space left on device")

	// Clients and peers are served from memory.
	peer.sees("/?text=early", "1")
	peer.wants(201, "*", "POST", setOne, `{"of the peer":"2"}`)
	n.sees("/api/9/http/keyvals/one?key=of%20the%20peer", `{"of the peer":"2"}`)
	n.wants(200, "1", "GET", "/?text=early", "")

	// What was acknowledged is there after a crash of both, though the disk is still full.
	n.kill()
	peer.kill()
	n.start()
	n.wants(200, "1", "GET", "/?text=early", "")
	for i := range acknowledged {
		n.wants(200, "v", "GET", fmt.Sprintf("/?text=k%d", i), "")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.wants(201, "*", "POST", setOne, `{"late":"3"}`)
	peer.start()

	// A disk that is full for a while only: when there is room again, writes are acknowledged without a restart, and kept.
	full = fill(t, disk)
	n.untilRefused("l")
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	n.waitLog("is written again: writes are acknowledged")
	n.wants(201, "*", "POST", setOne, `{"last":"4"}`)
	n.kill()
	n.start()
	n.wants(200, "4", "GET", "/?text=last", "")
	n.wants(200, "1", "GET", "/?text=early", "")
}

// untilRefused adds pairs PREFIX0, PREFIX1, … until one is refused. It returns how many were acknowledged, and the refusal.
func (n *node) untilRefused(prefix string) (acknowledged int, refused string) {
	n.t.Helper()
	testkit.Eventually(n.t, patience, func() error {
		for {
			r, err := n.do("POST", setOne, fmt.Sprintf(`{"%s%d":"v"}`, prefix, acknowledged))
			if err != nil {
				return err
			}
			if r.status != 201 {
				refused = fmt.Sprint(r.status, " ", r.body)
				return nil
			}
			acknowledged++
		}
	})
	return acknowledged, refused
}
