package proxy_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"
)

// memoryInUse is that of the heap and of stacks.
func memoryInUse() (heap, stacks int64) {
	var m runtime.MemStats
	for range 5 { // pools keep what they had for one collection, stacks shrink by half in each
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// TestAQuietSessionCostsLittle has sessions whose datagram was answered wait for more. Each cost 130 KB with a buffer for
// each direction, and 18 KB with a goroutine for each.
func TestAQuietSessionCostsLittle(t *testing.T) {
	const (
		sessions = 300 // each holds a descriptor
		most     = 8 << 10
	)
	backend, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := backend.ReadFrom(buf)
			if err != nil {
				return
			}
			backend.WriteTo(buf[:n], from)
		}
	}()
	defer backend.Close()
	s := start(t, `server { listen 127.0.0.1:1 udp; proxy_pass ADDRESS; }`, backend.LocalAddr().String())
	over := make(chan struct{})
	defer close(over)
	go func() { // what is recorded of sessions when the test is over
		<-over
		for range sessions + 10 {
			<-s.recorded
		}
	}()
	begin := func(n int) {
		for i := range n {
			c := s.Dial(0)
			buf := make([]byte, 100)
			fmt.Fprint(c, i)
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != fmt.Sprint(i) {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			c.Close() // of which the other side hears nothing
		}
	}
	begin(10)
	heapBefore, stacksBefore := memoryInUse()
	goroutines := runtime.NumGoroutine()
	begin(sessions)
	if len(s.recorded) > 0 {
		t.Fatal("a session ended")
	}
	if n := runtime.NumGoroutine() - goroutines; n > sessions/10 {
		t.Errorf("%d goroutines for %d quiet sessions", n, sessions)
	}
	heap, stacks := memoryInUse()
	heap, stacks = (heap-heapBefore)/sessions, (stacks-stacksBefore)/sessions
	if t.Logf("a session costs %d bytes of the heap and %d of stacks", heap, stacks); heap+stacks > most {
		t.Errorf("at most %d are allowed", most)
	}
}
