package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Writer changes pairs of zone one through a node's API, pipelined on one connection, and records the acknowledged
// writes.
type Writer struct {
	To   *Node
	Name string
	// PerSecond is how many writes are sent; 0 sends the next one after each answer, with up to window unanswered.
	PerSecond int
	Window    int

	mu    sync.Mutex
	fates map[string]*fate
	acks  int
	seq   int
}

// fate is the expected state of a key that one writer writes: its values are increasing numbers.
type fate struct {
	acked, tried               int // the last write acknowledged, and the last one sent
	ackedRemoval, triedRemoval bool
}

// write is one change of a pair.
type write struct {
	key    string
	seq    int
	method string
	remove bool
}

const (
	// ownKeys are written again and again by one writer, sharedKeys by all.
	ownKeys    = 2000
	sharedKeys = 500
	// lifeOfNew is the number of writes after which a new key is removed, by every second removal.
	lifeOfNew = 5000
)

// next makes the writer's next change: most go to own keys, some to keys that all writers share, some make and remove
// keys.
func (w *Writer) next() write {
	w.seq++
	seq := w.seq
	switch {
	case seq <= ownKeys:
		return write{w.key("own", seq), seq, "POST", false}
	case seq%10 == 0:
		return write{w.key("new", seq), seq, "POST", false}
	case seq%10 == 1:
		return write{fmt.Sprintf("shared-%d", seq%sharedKeys), seq, "PATCH", false}
	case seq%20 == 2 && seq-lifeOfNew-2 > ownKeys:
		return write{w.key("new", seq-lifeOfNew-2), seq, "PATCH", true}
	}
	return write{w.key("own", 1+seq%ownKeys), seq, "PATCH", false}
}

func (w *Writer) key(kind string, i int) string { return fmt.Sprintf("%s-%s-%d", kind, w.Name, i) }

func (c write) appendTo(b []byte) []byte {
	value := strconv.Quote(strconv.Itoa(c.seq))
	if c.remove {
		value = "null"
	}
	body := `{"` + c.key + `":` + value + `}`
	return fmt.Appendf(
		b,
		"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
		c.method,
		SetOne,
		len(body),
		body,
	)
}

// shared makes the keys that all writers share.
func (n *Node) MakeShared() {
	n.T.Helper()
	var pairs []string
	for i := range sharedKeys {
		pairs = append(pairs, fmt.Sprintf(`"shared-%d":"0"`, i))
	}
	n.Wants(201, "*", "POST", SetOne, "{"+strings.Join(pairs, ",")+"}")
}

// Run writes until ctx ends and everything is answered (nil), or the connection ends (why).
func (w *Writer) Run(ctx context.Context) error {
	conn, err := w.To.Dial("8080")
	if err != nil {
		return err
	}
	defer conn.Close()
	if w.Window == 0 {
		w.Window = 4096
	}
	sent := make(chan write, w.Window) // full: wait for answers
	sending := make(chan error, 1)
	go func() {
		err := w.send(ctx, conn, sent)
		close(sent)
		sending <- err
	}()
	err = w.receive(conn, sent)
	conn.Close()
	for range sent { // lets the sender find the closed connection
	}
	if sendErr := <-sending; err == nil {
		err = sendErr
	}
	return err
}

func (w *Writer) send(ctx context.Context, conn net.Conn, sent chan<- write) error {
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var buf []byte
	for count := 0; ; {
		due := count + 16
		if w.PerSecond > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
			due = int(time.Since(began).Seconds() * float64(w.PerSecond))
		} else if ctx.Err() != nil {
			return nil
		}
		buf = buf[:0]
		for ; count < due; count++ {
			c := w.next()
			w.note(c, false)
			buf = c.appendTo(buf)
			select {
			case sent <- c:
				continue
			default:
			}
			if _, err := conn.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
			sent <- c
		}
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
}

// receive reads the answers in the order of the requests.
func (w *Writer) receive(conn net.Conn, sent <-chan write) error {
	r := bufio.NewReader(conn)
	for c := range sent {
		if err := conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("an answer was cut short: %w", err)
		}
		switch {
		case resp.StatusCode == 201, resp.StatusCode == 204:
			w.note(c, true)
		case strings.HasPrefix(c.key, "own-") && resp.StatusCode == 409:
			// An earlier run of the writer's node made it; it counts as not written.
		default:
			return fmt.Errorf("%s %s at %s: %d %s", c.method, c.key, w.To.Name, resp.StatusCode, body)
		}
	}
	return nil
}

// note records a change that was sent, or acknowledged.
func (w *Writer) note(c write, acked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fates == nil {
		w.fates = make(map[string]*fate)
	}
	if acked {
		w.acks++
	}
	if strings.HasPrefix(c.key, "shared-") {
		return // the winner among several writers is not known here
	}
	f := w.fates[c.key]
	if f == nil {
		f = &fate{}
		w.fates[c.key] = f
	}
	if acked {
		f.acked, f.ackedRemoval = c.seq, c.remove
	} else {
		f.tried, f.triedRemoval = c.seq, c.remove
	}
}

// Acknowledged is how many writes were acknowledged so far.
func (w *Writer) Acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acks
}

// Check compares the contents of nodes with the acknowledged writes.
func (w *Writer) Check(t *testing.T, pairs map[string]string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong := 0
	for key, f := range w.fates {
		text, found := pairs[key]
		held, _ := strconv.Atoi(text)
		unanswered := f.tried > f.acked
		var ok bool
		switch {
		case found:
			ok = held == f.acked && !f.ackedRemoval || unanswered && held > f.acked && held <= f.tried
		default:
			ok = f.acked == 0 || f.ackedRemoval || unanswered && f.triedRemoval
		}
		if ok {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("writer %s: %s is %q, found %v; acknowledged %d (removal %v), sent %d (removal %v)",
				w.Name, key, text, found, f.acked, f.ackedRemoval, f.tried, f.triedRemoval)
		}
	}
	if wrong > 5 {
		t.Errorf("writer %s: %d of %d keys are wrong", w.Name, wrong, len(w.fates))
	}
}
