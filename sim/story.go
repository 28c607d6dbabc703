package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"starling/cluster/wire"
)

// A story is a text of one command per line, run by Tell. DESIGN.md lists the commands.

// command is one parsed line.
type command struct {
	words []string
	host  *Host // of "at <n> …"
}

var errWords = errors.New("the line has too few words, or one that is not understood")

// Tell runs a story and returns the first line that fails.
func Tell(text string) (*World, error) {
	w := NewWorld(1, defaults)
	w.latencyMS = 1
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		err := w.tell(words)
		w.checkMemory()
		if err == nil && len(w.failures) > 0 {
			err = errors.New(w.failures[0])
		}
		if err != nil {
			return w, fmt.Errorf(
				"line %d, %q, at %v: %w",
				number,
				strings.TrimSpace(line),
				time.Duration(w.nowMS)*time.Millisecond,
				err,
			)
		}
	}
	return w, nil
}

func (w *World) tell(words []string) (err error) {
	defer func() {
		if recover() != nil { // an index or a number that a mistyped story does not have
			err = errWords
		}
	}()
	if words[0] == "at" {
		return w.at(&command{words: words[2:], host: w.host(words[1])})
	}
	if words[0] == "everywhere" {
		for _, h := range w.Hosts {
			if !h.runs() || h.left {
				continue
			}
			if err := w.at(&command{words: words[1:], host: h}); err != nil {
				return fmt.Errorf("host %d: %w", h.index, err)
			}
		}
		return nil
	}
	c := &command{words: words}
	for _, tell := range []func(*World, *command) (bool, error){
		(*World).tellSetup, (*World).tellNetwork, (*World).tellHosts, (*World).tellTime,
	} {
		if known, err := tell(w, c); known {
			return err
		}
	}
	return errWords
}

// word returns the i-th word; number and duration read it.
func (c *command) word(i int) string { return c.words[i] }

func (c *command) number(i int) int {
	n, err := strconv.Atoi(c.words[i])
	if err != nil {
		panic(err)
	}
	return n
}

func (c *command) duration(i int) time.Duration {
	d, err := time.ParseDuration(c.words[i])
	if err != nil {
		panic(err)
	}
	return d
}

func (w *World) host(word string) *Host {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return w.Hosts[n]
}

// pairs reads "0-1 0-2", or "all".
func (w *World) pairs(words []string, do func(a, b int)) {
	if words[0] == "all" {
		for a := range w.Hosts {
			for b := range a {
				do(a, b)
			}
		}
		return
	}
	for _, word := range words {
		a, b, _ := strings.Cut(word, "-")
		do(w.host(a).index, w.host(b).index)
	}
}

func (w *World) tellSetup(c *command) (known bool, err error) {
	switch c.word(0) {
	case "memory": // memory 64k: of each zone; memory 64k 16k: with 16k for its tombstones
		k, err := strconv.Atoi(strings.TrimSuffix(c.word(1), "k"))
		if len(c.words) > 2 {
			tombs, _ := strconv.Atoi(strings.TrimSuffix(c.word(2), "k"))
			w.options.TombstoneBytes = int64(tombs) << 10
		}
		bytes := int64(k) << 10
		w.options.KeyvalBytes, w.options.SessionBytes, w.options.BucketBytes = bytes, bytes, bytes
		return true, err
	case "connections": // hosts have a zone of connections
		w.options.ConnBytes = 1 << 20
	case "ring":
		w.options.RingFrames = c.number(1)
	case "life": // of sessions
		w.options.SessionTimeoutMS = c.duration(1).Milliseconds()
	case "hosts":
		w.Start(c.number(1))
	case "old": // a host runs a release without repair
		h := w.host(c.word(1))
		h.withhold = wire.FeatureRepair | wire.FeatureDelivery | wire.FeatureQuestions | wire.FeatureSums
		w.restart(h)
	case "upgrade":
		h := w.host(c.word(1))
		h.withhold = 0
		w.restart(h)
	case "state": // a host keeps state from now on
		h := w.host(c.word(1))
		h.keepsState = true
		w.restart(h)
	default:
		return false, nil
	}
	return true, nil
}

func (w *World) restart(h *Host) {
	h.crash()
	h.start()
	w.allMembers()
}

func (w *World) tellNetwork(c *command) (known bool, err error) {
	switch c.word(0) {
	case "cut":
		w.pairs(c.words[1:], w.Cut)
	case "block":
		w.pairs(c.words[1:], w.Block)
	case "unblock":
		w.pairs(c.words[1:], func(a, b int) { delete(w.blocked, pair(a, b)) })
	case "slow": // slow 10 0-1: bytes per ms
		rate := c.number(1)
		w.pairs(c.words[2:], func(a, b int) { w.slow[pair(a, b)] = rate })
	case "latency":
		w.latencyMS = c.number(1)
	case "heal":
		w.Heal()
	default:
		return false, nil
	}
	return true, nil
}

func (w *World) tellHosts(c *command) (known bool, err error) {
	switch c.word(0) {
	case "add":
		w.add()
		w.allMembers()
	case "crash":
		w.host(c.word(1)).crash()
	case "restart":
		w.restart(w.host(c.word(1)))
	case "compact": // the log of a host with state is written anew
		w.host(c.word(1)).compact()
	case "freeze":
		w.host(c.word(1)).frozen = true
	case "thaw": // thaw 1, or thaw 1 late
		w.host(c.word(1)).thaw(len(c.words) > 2 && c.word(2) == "late")
	case "leave":
		w.host(c.word(1)).leave()
	case "unlist": // the others remove a host from their lists; it continues
		w.unlist(w.host(c.word(1)))
	case "clock": // clock 1 +1h
		h := w.host(c.word(1))
		h.setClock(h.skewMS + c.duration(2).Milliseconds())
	case "drift":
		w.host(c.word(1)).driftPPM = float64(c.number(2))
	case "reload": // reload 1 without kv lim, or with everything
		unshared := map[string]bool{}
		for _, name := range c.words[2:] {
			unshared[name] = true
		}
		w.host(c.word(1)).reload(unshared)
	default:
		return false, nil
	}
	return true, nil
}

// tellTime runs the commands that take time: waiting, and work while time passes.
func (w *World) tellTime(c *command) (known bool, err error) {
	var what string
	var holds func() bool
	switch c.word(0) {
	case "wait":
		w.Run(c.duration(1))
		return true, nil
	case "skip": // like wait for hours of nothing: only the clocks advance, no connection survives it
		w.skip(c.duration(1))
		return true, nil
	case "storm": // storm 5s 1 0 1: a write per ms on each host named
		return true, w.storm(c)
	// churn 1000 100ms 0 1: 1000 pairs, one per 100 ms, are written at one of the hosts named and deleted at the next.
	case "churn":
		return true, w.churn(c)
	case "rush": // rush 200ms 0 1: a request per ms on each host named
		w.rush(c)
		return true, nil
	case "ready":
		what, holds = "not all are ready", w.Ready
	case "agree":
		what, holds = "they differ", w.Agree
	case "shown":
		what, holds = "operators are not shown that all agree", w.ShownToAgree
	case "kept":
		for _, h := range w.Hosts {
			if h.runs() && !h.left {
				w.mustMatchLedger(h)
			}
		}
		return true, nil
	case "undisturbed": // since the start: no connection lost or reopened, no error logged
		return true, w.undisturbed()
	case "timed": // what ends is there
		for _, h := range w.Hosts {
			if h.runs() && !h.left {
				w.mustHaveTimed(h)
			}
		}
		return true, nil
	default:
		return false, nil
	}
	limit := c.duration(2) // agree within 2s
	if !w.Within(limit, holds) {
		return true, fmt.Errorf("%s; %s", what, w.disagreement())
	}
	return true, nil
}

// skip moves all clocks at once.
func (w *World) skip(d time.Duration) {
	w.nowMS += d.Milliseconds()
	for range tickEveryMS {
		w.step()
	}
}

// storm writes pairs, a hundred keys of its own per host, while time passes.
func (w *World) storm(c *command) error {
	perMS := c.number(2)
	for n, end := 0, w.nowMS+c.duration(1).Milliseconds(); w.nowMS < end; n++ {
		for _, word := range c.words[3:] {
			for i := range perMS {
				h := w.host(word)
				if err := h.set(fmt.Sprintf("storm%d.%d", h.index, (n*perMS+i)%100), fmt.Sprint(n)); err != nil {
					return err
				}
			}
		}
		w.step()
	}
	return nil
}

// churnTickEvery is after how many pairs of a churn the hosts get time to tick.
const churnTickEvery = 10

// churn lets pairs come and go. It simulates only as much of the time between two of them as the hosts need.
func (w *World) churn(c *command) error {
	pauseMS, hosts := c.duration(2).Milliseconds(), c.words[3:]
	for n := range c.number(1) {
		one, other := w.host(hosts[n%len(hosts)]), w.host(hosts[(n+1)%len(hosts)])
		key := fmt.Sprint("churn", w.nowMS, ".", n)
		if err := one.set(key, "x"); err != nil {
			return fmt.Errorf("after %d pairs: %w, %+v", n, err, one.keyval.Stats())
		}
		if other != one && !w.Within(time.Second, func() bool { return other.get(key) == "x" }) {
			return fmt.Errorf("after %d pairs: host %d has not got %s", n, other.index, key)
		}
		other.remove(key)
		steps := int64(2)
		if n%churnTickEvery == 0 {
			steps = tickEveryMS
		}
		steps = min(steps, pauseMS)
		w.nowMS += pauseMS - steps
		w.Run(time.Duration(steps) * time.Millisecond)
	}
	return nil
}

// rush counts requests of a few keys per host, none of them one of the story's.
func (w *World) rush(c *command) {
	for end := w.nowMS + c.duration(1).Milliseconds(); w.nowMS < end; w.step() {
		for _, word := range c.words[2:] {
			w.host(word).hit(fmt.Sprintf("rush%s.%d", word, w.nowMS%7), 1)
		}
	}
}
