package beside

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"starling/e2e/harness"
	"starling/lib/testkit"
)

// Flags of the generated tests, as those of the simulator.
var (
	nginxFlag = flag.String("nginx", "nginx", "the nginx to compare generated configurations with")
	seedFlag  = flag.Uint64("seed", 0, "run this seed only, and print its configuration and requests")
	seedsFlag = flag.Int("seeds", 12, "how many seeds to run")
	firstFlag = flag.Uint64("first", 1, "the first seed")
)

const (
	// requestsPerSeed is enough to reach most locations of a configuration, and few enough to shrink quickly.
	requestsPerSeed = 30
	// oldestNginx is 1.29: what it changed (cookies, CONNECT, kept connections to servers), starling has.
	oldestNginx = 1029000
	// maxDifferences ends a run that has found enough to read.
	maxDifferences = 10
	// answerPatience bounds one answer. A connection that stays open for so long is a result to compare, too.
	answerPatience = 3 * time.Second
	// shrinkPatience bounds the search for a smaller configuration.
	shrinkPatience = 30 * time.Second
)

// pair is a generated configuration and the requests to it.
type pair struct {
	conf     []*node
	requests []exchange
}

// subject is one of the two servers: its program and where it listens. Both use the same ports, so that redirects are
// the same but for the address.
type subject struct {
	name, program, address string
}

// arena is what pairs of one worker run in.
type arena struct {
	subjects [2]subject
	dir      string
	rejected int
	replace  []string // placeholders of a configuration that are the same for both, and their values
}

// A generated configuration does the same in both: -t, answers, access log.
func TestGeneratedBesideNginx(t *testing.T) {
	nginx := nginxToCompare(t, *nginxFlag)
	t.Parallel()
	with, err := abilitiesOf(nginx)
	if err != nil {
		t.Fatal(err)
	}
	if with.version < oldestNginx {
		t.Skipf("nginx %d is older than %d, which changed cookies, CONNECT and kept connections: give a newer one with -nginx",
			with.version, oldestNginx)
	}
	a := newArena(t, nginx)
	differences := 0
	for _, seed := range seeds() {
		p := generated(seed, with)
		if *seedFlag != 0 {
			t.Logf("%s", p)
		}
		difference := a.difference(t, p)
		if difference != "" {
			difference = a.difference(t, p) // what comes and goes (a second that ends) is no difference
		}
		if difference == "" {
			continue
		}
		small := a.shrink(t, p, difference)
		t.Errorf("seed %d: %s\n%s\nthe whole seed: go test ./e2e/beside -run Generated -seed %d", seed, a.difference(t, small), small, seed)
		if differences++; differences == maxDifferences {
			t.Fatal("enough differences")
		}
	}
	t.Logf("both rejected %d", a.rejected)
}

// seeds are those that the flags ask for.
func seeds() (all []uint64) {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	for i := range uint64(*seedsFlag) {
		all = append(all, *firstFlag+i)
	}
	return all
}

// generated is the pair of a seed.
func generated(seed uint64, with abilities) pair {
	g := &grammar{r: rand.New(rand.NewPCG(seed, 0)), with: with}
	conf := g.main()
	return pair{conf: conf, requests: g.exchanges(requestsPerSeed)}
}

// String is a configuration with its requests, to read and to try by hand.
func (p pair) String() string {
	text := "--- configuration\n" + printed(p.conf, 0) + "--- requests\n"
	for _, r := range p.requests {
		text += fmt.Sprintf("%q\n", r.raw)
	}
	return text
}

func newArena(t *testing.T, nginx string) *arena {
	t.Helper()
	port := freePort(t)
	a := &arena{dir: t.TempDir(), subjects: [2]subject{
		{"we", harness.Binary, "127.0.1.1:" + port},
		{"nginx", nginx, "127.0.1.2:" + port},
	}}
	a.replace = []string{"ROOT", documentsToCompare(t), "PORT", port, "BACKEND", backend(t), "NOBODY", "127.0.0.1:1", "CLOSER", closer(t)}
	return a
}

// freePort is a port that is free on all addresses now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// write makes the files of a configuration for one subject.
func (a *arena) write(t *testing.T, s subject, p pair) (dir string) {
	t.Helper()
	dir = filepath.Join(a.dir, s.name)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(append(a.replace, "DIR", dir, "ADDRESS", s.address)...).Replace(printed(p.conf, 0))
	for name, text := range map[string]string{"nginx.conf": text, "users": "joe:{PLAIN}secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// difference runs a pair with both and says how they differ first, or "".
func (a *arena) difference(t *testing.T, p pair) string {
	t.Helper()
	var checks [2][]string
	a.both(func(i int, s subject) { checks[i] = check(s, a.write(t, s, p)) })
	if !sameVerdict(checks[0], checks[1]) {
		return told("the check", [2]string{strings.Join(checks[0], "; "), strings.Join(checks[1], "; ")})
	}
	if len(checks[0]) > 0 {
		a.rejected++
		return ""
	}
	var running [2]*exec.Cmd
	for i, s := range a.subjects {
		running[i] = start(t, s, filepath.Join(a.dir, s.name))
	}
	difference := ""
	for _, r := range p.requests {
		if difference != "" {
			break
		}
		var answers [2]string
		a.both(func(i int, s subject) { answers[i] = normalised(s.answer(r), r.methods) })
		if answers[0] != answers[1] {
			difference = told(fmt.Sprintf("the answer to %q", r.raw), answers)
		}
	}
	a.both(func(i int, _ subject) { stop(running[i]) })
	if difference != "" {
		return difference
	}
	var logs [2]string
	for i, s := range a.subjects {
		text, err := os.ReadFile(filepath.Join(a.dir, s.name, "access.log"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		logs[i] = normalisedLog(string(text))
	}
	return firstLine(logs)
}

func (a *arena) both(do func(int, subject)) {
	var both sync.WaitGroup
	for i, s := range a.subjects {
		both.Go(func() { do(i, s) })
	}
	both.Wait()
}

// told says what both say; "" if it is the same.
func told(what string, both [2]string) string {
	return fmt.Sprintf("%s differs\nwe:    %q\nnginx: %q", what, both[0], both[1])
}

// firstLine says which lines of the access logs differ first.
func firstLine(logs [2]string) string {
	ours, theirs := strings.Split(logs[0], "\n"), strings.Split(logs[1], "\n")
	for i := range max(len(ours), len(theirs)) {
		var lines [2]string
		if i < len(ours) {
			lines[0] = ours[i]
		}
		if i < len(theirs) {
			lines[1] = theirs[i]
		}
		if lines[0] != lines[1] {
			return told("the access log", lines)
		}
	}
	return ""
}

// check is what a server says about its configuration: nothing if it accepts it.
func check(s subject, dir string) []string {
	output, err := exec.Command(s.program, "-t", "-q", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr").CombinedOutput()
	if err == nil {
		return nil
	}
	if all := normalisedProblems(string(output), dir); len(all) > 0 {
		return all
	}
	return []string{"(" + err.Error() + ")"}
}

// start starts a server, and returns when it accepts connections.
func start(t *testing.T, s subject, dir string) *exec.Cmd {
	t.Helper()
	server := exec.Command(s.program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, harness.Patience, func() error {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return server
}

// stop ends a server. Some configurations let nginx loop without end: it is killed then.
func stop(server *exec.Cmd) {
	server.Process.Signal(os.Interrupt)
	defer time.AfterFunc(answerPatience, func() { server.Process.Kill() }).Stop()
	server.Wait()
}

// answer sends a request over a connection of its own and gives all that comes until the server closes.
func (s subject) answer(r exchange) string {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(r.from)}}
	conn, err := dialer.Dial("tcp", s.address)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerPatience))
	return exchanged(conn, r.raw)
}
