// Package lan makes hosts out of network namespaces and the network between them out of TUN devices, so that a test can
// cut, delay and drop their packets.
//
// The wire is this process: it reads each host's packets and writes them to their destination host. That needs root and
// /dev/net/tun, and neither ip nor tc nor a kernel with netem. Namespaces and devices belong to file descriptors: they
// disappear with the process, however it ends.
package lan

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// mtu is Ethernet's: starling's data is cut into packets as between real hosts.
const mtu = 1500

// Network is a set of hosts and the links between them.
type Network struct {
	prefix netip.Prefix

	mu    sync.RWMutex
	hosts map[netip.Addr]*Host
	links map[pair]*link

	carried, dropped atomic.Int64
	readers          sync.WaitGroup
	done             chan struct{}
}

// pair is a direction.
type pair struct{ from, to netip.Addr }

// Host is a network namespace with lo and eth0.
type Host struct {
	Addr netip.Addr

	network   *Network
	namespace *os.File
	device    *os.File
}

// New makes a network without hosts below an IPv4 prefix. Networks do not know each other and may use the same
// addresses.
func New(prefix netip.Prefix) *Network {
	return &Network{
		prefix: prefix,
		hosts:  make(map[netip.Addr]*Host),
		links:  make(map[pair]*link),
		done:   make(chan struct{}),
	}
}

// Add makes a host. If namespaces or TUN devices cannot be made, the error names the missing right or device.
func (n *Network) Add(addr netip.Addr) (*Host, error) {
	h := &Host{Addr: addr, network: n}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot make a network namespace (root is needed): %w", err)
		}
		if h.namespace, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())); err != nil {
			return err
		}
		h.device, err = openDevice(addr, n.prefix.Bits())
		return err
	})
	if err != nil {
		h.close()
		return nil, err
	}
	n.mu.Lock()
	n.hosts[addr] = h
	n.mu.Unlock()
	n.readers.Go(h.forward)
	return h, nil
}

// Close takes everything away.
func (n *Network) Close() {
	close(n.done)
	n.mu.Lock()
	for _, h := range n.hosts {
		h.close()
	}
	n.mu.Unlock()
	n.readers.Wait()
}

// Packets returns how many packets were carried and how many were dropped, by cuts, losses and full queues.
func (n *Network) Packets() (carried, dropped int64) { return n.carried.Load(), n.dropped.Load() }

func (h *Host) close() {
	for _, f := range []*os.File{h.device, h.namespace} {
		if f != nil {
			f.Close()
		}
	}
}

// Inside runs fn in the host's namespace: sockets that it makes and processes that it starts belong to the host for
// good. fn must stay on its goroutine.
func (h *Host) Inside(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(h.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the namespace of %s: %w", h.Addr, err)
		}
		return fn()
	})
}

// NamespacePath is a path of the host's namespace for other programs, as long as this process lives.
func (h *Host) NamespacePath() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.namespace.Fd())
}

// onThread runs fn on a thread of its own, which ends with it: no other goroutine ever runs in a changed namespace.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- fn()
	}()
	return <-done
}

// forward carries the host's packets until the network is closed.
func (h *Host) forward() {
	buf := make([]byte, 1<<16)
	for {
		size, err := h.device.Read(buf)
		if err != nil {
			return
		}
		const versionAndDestination = 20
		if size < versionAndDestination || buf[0]>>4 != 4 {
			continue // router solicitations of IPv6, which get no answer
		}
		to := netip.AddrFrom4([4]byte(buf[16:20]))
		n := h.network
		n.mu.RLock()
		there, link := n.hosts[to], n.links[pair{h.Addr, to}]
		n.mu.RUnlock()
		switch {
		case there == nil:
			n.dropped.Add(1)
		case link == nil:
			there.receive(buf[:size])
		default:
			link.carry(there, buf[:size])
		}
	}
}

// receive passes a packet to the host's kernel. A packet that it rejects (the queue is full) is lost, as on a wire.
func (h *Host) receive(packet []byte) {
	if _, err := h.device.Write(packet); err != nil {
		h.network.dropped.Add(1)
		return
	}
	h.network.carried.Add(1)
}
