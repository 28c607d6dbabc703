package harness

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Networks of tests are 127.PROCESS.TEST.0/24. Packages are tested at the same time, by processes that know nothing of
// each other, so a process claims its byte: it listens on an address there as long as it lives.
const (
	firstProcess = 64 // 127.200.0.0/16 is testkit's
	processesMax = 128
	testsMax     = 254 // more than run at once
	claimAddress = "127.%d.0.1:9999"
)

// claim is the byte of this process. The listener is kept in a variable: the garbage collector would close it
// otherwise.
type claim struct {
	process int
	held    net.Listener
}

var (
	claimed  = sync.OnceValues(claimNetwork)
	networks atomic.Uint32
)

func claimNetwork() (c claim, err error) {
	for i := range processesMax {
		c.process = firstProcess + (os.Getpid()+i)%processesMax
		if c.held, err = net.Listen("tcp", fmt.Sprintf(claimAddress, c.process)); err == nil {
			return c, nil
		}
	}
	return c, fmt.Errorf("no network for this process, after %d tries: %w", processesMax, err)
}

// newNetwork returns the first three bytes of a network that no other running test uses, of this process or another.
func newNetwork(t *testing.T) string {
	t.Helper()
	c, err := claimed()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.%d.%d", c.process, 1+networks.Add(1)%testsMax)
}
