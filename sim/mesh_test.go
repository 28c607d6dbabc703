package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var measureMesh = flag.String("measure-mesh", "", "write the messages and bytes of meshes of 3 to 63 hosts to this file")

// meshCount is what hosts send, each.
type meshCount struct{ messages, bytes float64 }

func (w *World) sent() (c meshCount) {
	for _, h := range w.Hosts {
		s := h.node.Status(h.now()).Node
		c.messages, c.bytes = c.messages+float64(s.MsgsOut), c.bytes+float64(s.BytesOut)
	}
	return c
}

// during returns what hosts send while something happens, together.
func (w *World) during(do func()) meshCount {
	before := w.sent()
	do()
	after := w.sent()
	return meshCount{after.messages - before.messages, after.bytes - before.bytes}
}

const (
	meshIdle    = 20 * time.Second
	meshUpdates = 1000
)

// mesh starts so many hosts, and counts what they send until they agree, in an idle second, and for an update, each.
func mesh(t *testing.T, hosts int) (start, idle, update meshCount) {
	w := NewWorld(1, defaults)
	start = w.during(func() {
		w.Start(hosts)
		if !w.Within(10*time.Second, func() bool { return w.allSayTheyAgree() }) {
			t.Fatalf("%d hosts do not agree", hosts)
		}
	})
	w.Run(5 * time.Second)
	idle = w.during(func() { w.Run(meshIdle) })
	update = w.during(func() {
		for i := range meshUpdates { // one a millisecond: what a node sends in a frame is about what it does at once
			h := w.Hosts[i%hosts]
			if err := h.keyval.Set(fmt.Appendf(nil, "key%05d", i), []byte("1"), 0, h.clusterNow()); err != nil {
				t.Fatal(err)
			}
			w.Run(time.Millisecond)
		}
		w.Run(time.Second)
	})
	per := func(c meshCount, units float64) meshCount { return meshCount{c.messages / units, c.bytes / units} }
	quiet := per(idle, meshIdle.Seconds())
	update.messages -= quiet.messages * (1 + meshUpdates/1000)
	update.bytes -= quiet.bytes * (1 + meshUpdates/1000)
	return per(start, float64(hosts)), per(quiet, float64(hosts)), per(update, meshUpdates)
}

// allSayTheyAgree reports whether each host says that it has reached all others, and agrees with them.
func (w *World) allSayTheyAgree() bool {
	for _, h := range w.Hosts {
		if s := h.node.Status(h.now()); !s.Ready || !s.Agree {
			return false
		}
	}
	return true
}

// What an idle host sends grows with the number of its peers and not faster, and is little for each.
func TestAnIdleMeshIsQuiet(t *testing.T) {
	const mostBytes, mostMessages = 80, 4 // a second to each peer
	for _, hosts := range []int{3, 9} {
		_, idle, _ := mesh(t, hosts)
		peers := float64(hosts - 1)
		if idle.bytes > mostBytes*peers || idle.messages > mostMessages*peers {
			t.Errorf("each of %d idle hosts sends %.0f bytes in %.1f messages a second", hosts, idle.bytes, idle.messages)
		}
	}
}

// TestMeshMeasured counts what meshes send, for bench/results.
func TestMeshMeasured(t *testing.T) {
	if *measureMesh == "" {
		t.Skip("it writes a file: -measure-mesh names it")
	}
	figures := make(map[string]float64)
	for _, hosts := range []int{3, 7, 15, 31, 63} {
		start, idle, update := mesh(t, hosts)
		for name, c := range map[string]meshCount{"start to agreement": start, "idle, a second": idle, "an update": update} {
			figures[fmt.Sprintf("%d nodes: %s, messages", hosts, name)] = c.messages
			figures[fmt.Sprintf("%d nodes: %s, bytes", hosts, name)] = c.bytes
		}
		t.Logf("%d hosts: start %.0f, idle %.1f, update %.1f", hosts, start, idle, update)
	}
	text, err := json.MarshalIndent(map[string]any{"figures": figures}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*measureMesh, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
