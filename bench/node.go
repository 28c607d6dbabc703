package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"starling/carrier"
	"starling/cluster"
	"starling/lib/clock"
	"starling/logs"
	"starling/zone"
	"starling/zone/kinds"
)

// bareBytes is room for more than a million records of either kind.
const bareBytes = 1 << 30

// bareNode is a node of the cluster without its http side: only zones, protocol and sockets remain. It runs in a
// process of its own, on a core of its own, and gets its commands through its standard input.
type bareNode struct {
	clock   *clock.Clock
	bucket  *kinds.Bucket
	keyval  *kinds.Keyval
	carrier *carrier.Carrier
}

// bareStatus is the answer of a bare node.
type bareStatus struct {
	Online   int64
	Ready    bool
	Drained  bool
	Records  int64 // of both zones
	BytesOut int64
	TookMS   float64 // of the command
}

// runBareNode is the main function of that process: listens is its address, peer the other's.
func runBareNode(listens, peer string) error {
	host, portText, err := net.SplitHostPort(peer)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	n := &bareNode{clock: clock.Real()}
	n.bucket = kinds.NewBucket(
		kinds.BucketConfig{Name: "req", Expression: "$binary_remote_addr", Bytes: bareBytes, RateMilli: 16, Sync: true},
	)
	n.bucket.SetBurst(1 << 40)
	n.keyval = kinds.NewKeyval(
		kinds.KeyvalConfig{Name: "one", Expression: "string", Bytes: bareBytes, TimeoutMS: 3_600_000, Sync: true},
	)
	n.carrier, err = carrier.New(carrier.Config{
		Node: cluster.Config{ID: cluster.NodeID(rand.Uint64() | 1), Incarnation: rand.Uint64() | 1,
			Zones: []zone.Shared{
				n.bucket,
				n.keyval,
			}, Kinds: kinds.Kinds(), Settings: cluster.Settings{TimeoutMS: 5000, ConnectTimeoutMS: 5000}},
		Members:       []carrier.Member{{Host: host, Port: port, Line: "bench:1"}},
		RetryInterval: 50 * time.Millisecond, Clock: n.clock, Log: logs.Discard,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listens)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the process ends
			}
			go n.carrier.Serve(conn, carrier.Client{Name: conn.RemoteAddr().String()})
		}
	}()
	n.carrier.Start()
	return n.obey(os.Stdin, os.Stdout)
}

// obey runs commands, one a line, and answers each with a line of JSON.
func (n *bareNode) obey(in io.Reader, out io.Writer) error {
	commands := bufio.NewScanner(in)
	for commands.Scan() {
		word, number, _ := strings.Cut(commands.Text(), " ")
		count, _ := strconv.Atoi(number) // status has none
		begin := time.Now()
		switch word {
		case "charge": // limits of distinct 4-byte keys, like $binary_remote_addr
			var key [4]byte
			for i := range count {
				// Spread over all addresses, so that neighbours share no prefix.
				binary.BigEndian.PutUint32(key[:], uint32(i%1_000_000)*2654435761)
				n.bucket.Account(key[:], n.clock.Now(), 1<<40)
				if i%5000 == 4999 { // a frame from time to time, as under steady load; not one burst into the ring
					for n.carrier.Status().Zones["req"].RecordsPending > 20_000 {
						time.Sleep(100 * time.Microsecond)
					}
				}
			}
		case "fill": // pairs of 16-byte keys
			for i := range count {
				if err := n.keyval.Set(fmt.Appendf(nil, "%016x", i), []byte("12345678"), 0, n.clock.Now()); err != nil {
					return err
				}
			}
		}
		s := n.carrier.Status()
		answer := bareStatus{
			Online:   s.Node.NodesOnline,
			Ready:    s.Ready,
			Drained:  n.carrier.Node().Drained(),
			BytesOut: s.Node.BytesOut,
			Records:  s.Zones["req"].RecordsTotal + s.Zones["one"].RecordsTotal,
			TookMS:   float64(time.Since(begin).Microseconds()) / 1000,
		}
		if err := json.NewEncoder(out).Encode(answer); err != nil {
			return err
		}
	}
	return commands.Err()
}

// remote is a bare node's process seen from the measuring one.
type remote struct {
	*process
	in  io.WriteCloser
	out *bufio.Reader
}

// bare starts a bare node on a core.
func bare(core int, listens, peer string) (*remote, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := newProcess(exe, "node", listens, peer)
	p.cmd.Stdout = nil
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := onCore(core, p.cmd.Start); err != nil {
		return nil, err
	}
	return &remote{p, in, bufio.NewReader(out)}, nil
}

// tell sends a command and waits for its answer.
func (r *remote) tell(command string) (bareStatus, error) {
	var s bareStatus
	if _, err := io.WriteString(r.in, command+"\n"); err != nil {
		return s, err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return s, fmt.Errorf("%s: %w: %s", command, err, r.said.String())
	}
	return s, json.Unmarshal(line, &s)
}

// until polls the status until it is as wanted.
func (r *remote) until(what string, limit time.Duration, ok func(bareStatus) bool) error {
	deadline := time.Now().Add(limit)
	for {
		s, err := r.tell("status")
		if err != nil {
			return err
		}
		if ok(s) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not %s after %v: %+v", what, limit, s)
		}
		time.Sleep(200 * time.Microsecond)
	}
}
