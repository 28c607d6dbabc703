// Package turns decides which node of a cluster probes a server, and whose verdict a node follows, for health checks
// with `sync`. It is pure: time and what other nodes told are arguments. docs/decisions/2026-11-29-shared-health.md has
// the reasons.
package turns

import (
	"encoding/binary"
	"slices"

	"starling/zone"
	"starling/zone/kinds"
)

// Check are the settings of a check.
type Check struct {
	IntervalMS    int64
	Passes, Fails int
}

// Heard is a word of another node that is connected and has the check.
type Heard struct {
	From zone.Origin
	AtMS int64 // monotonic, when it arrived
	Word Word
}

// View is what a node sees when it looks at a server.
type View struct {
	NowMS int64 // monotonic, as all times here
	Self  zone.Origin
	// Members are the other nodes that are connected and have the check; Heard are their words.
	Members []zone.Origin
	Heard   []Heard
	// Failures counts how often failures of this node's clients made the server unavailable, SucceededMS is when the
	// server has last served one; 0: never.
	Failures    uint64
	SucceededMS int64
}

// Look reads from a zone what other nodes tell of a check and, under key, of one of its servers.
func Look(z *kinds.Health, check, key []byte, nowMS int64) View {
	v := View{NowMS: nowMS, Self: z.Self()}
	if v.Self == 0 {
		return v // the cluster does not share the zone yet
	}
	for _, f := range z.Told(nil, check) {
		if _, err := ParsePresence(f.Value); err == nil && !f.Away {
			v.Members = append(v.Members, f.From)
		}
	}
	for _, f := range z.Told(nil, key) {
		if word, err := ParseWord(f.Value); err == nil && slices.Contains(v.Members, f.From) {
			v.Heard = append(v.Heard, Heard{From: f.From, AtMS: f.AtMS, Word: word})
		}
	}
	return v
}

// Turn is one check of one server as one node sees it.
type Turn struct {
	check Check
	key   []byte // of the check and the server, the same on all nodes

	current Verdict // that counts on this node
	own     judged  // what its own probes say; those of the prober, while it is followed
	dueMS   int64   // when the prober's next probe begins
	sinceMS int64   // when this node first looked

	probedMS int64 // the end of its last probe, 0 for none
	passedMS int64 // the same of the last one that passed
	passed   bool  // the last one
	number   uint64
	failed   uint64 // of these
	tookMS   int64

	leads    bool
	doubts   bool  // it believes its own probes only
	doubtMS  int64 // since then
	extraMS  int64 // the last probe out of turn, 0 for none
	told     Heard // of the prober that it follows; the verdict is Unknown for none
	silentMS int64 // when the last word that it followed ended, or ends
	saidMS   int64 // when this node last told something that counts, 0 for never
	failures uint64
	hints    uint64 // failures of other nodes' clients that a probe has followed
}

// judged is a verdict and the probes since.
type judged struct {
	verdict       Verdict
	passes, fails int
}

// New is the first turn of a check of a server. first is the verdict with which it starts.
func New(check Check, key []byte, first Verdict, nowMS int64) *Turn {
	return &Turn{check: check, key: key, current: first, own: judged{verdict: first}, sinceMS: nowMS}
}

const (
	// slackMS is how much later than announced a word may come: the lag of the cluster, and a wake-up on a loaded
	// machine.
	slackMS = 500
	// mostPromiseMS bounds how long a word counts, whatever it announces.
	mostPromiseMS = 5 * 60_000
	// mostSteps bounds the wait of a node behind many silent ones.
	mostSteps = 4
	// graceMS is how much later than announced a follower looks again.
	graceMS = 50
	// againIntervals is how often a node looks itself at a server that the prober calls unhealthy. No client of the
	// node shows that its own path to the server is back, if only that of the prober is broken.
	againIntervals = 10
	// leastLimitMS is the shortest time that a server gets to contradict a prober that calls it unhealthy.
	leastLimitMS = 1000
)

// endMS is until when a word counts.
func (h *Heard) endMS() int64 {
	w := &h.Word
	return h.AtMS + min(w.NextMS+w.NextMS/20+2*w.TookMS+slackMS, mostPromiseMS)
}

// Step is what to do now.
type Step struct {
	// Probe means that this node probes the server now; within LimitMS, unless that is 0.
	Probe   bool
	LimitMS int64
	// Tell means to tell the others of a failure of clients at once. Withdraw means that this node's last word does not
	// count any more.
	Tell, Withdraw bool
	// DueMS is when to look again, unless Probe.
	DueMS int64
	// Took and Contradicted mean that the verdict of another node now counts, or that this node has begun to doubt it.
	Took, Contradicted bool
	From               zone.Origin
}

// weightOf orders the nodes for a server, by rendezvous hashing: the connected one with the greatest weight probes it.
func (t *Turn) weightOf(node zone.Origin) uint64 {
	return zone.KeyHash(binary.LittleEndian.AppendUint64(t.key[:len(t.key):len(t.key)], uint64(node)))
}

// standing is the place of this node among those that have the check.
type standing struct {
	leads bool
	told  *Heard // the word to follow, nil if none counts
	actMS int64  // when this node probes instead of silent ones before it
}

// stand finds the prober: the first node whose word counts, or this one.
func (t *Turn) stand(v *View) (s standing) {
	mine, best := t.weightOf(v.Self), uint64(0)
	ahead, silentMS := 0, max(t.sinceMS, t.silentMS)
	for _, node := range v.Members {
		if t.weightOf(node) > mine {
			ahead++
		}
	}
	for i := range v.Heard {
		h := &v.Heard[i]
		weight := t.weightOf(h.From)
		if weight > mine {
			silentMS = max(silentMS, h.endMS())
		}
		if h.Word.Verdict != Unknown && v.NowMS <= h.endMS() && (s.told == nil || weight > best) {
			s.told, best = h, weight
		}
	}
	switch {
	case s.told != nil && best > mine:
	case ahead == 0:
		s.leads = true
	default:
		// All before this node are silent. Those behind it wait longer, so that not all probe at once.
		s.actMS = silentMS + int64(min(ahead-1, mostSteps))*t.check.IntervalMS/8
		s.leads = v.NowMS >= s.actMS
	}
	return s
}

// Look decides what to do now. It is called when the time of the last Step has come, when another node has told
// something, and when clients fail.
func (t *Turn) Look(v View) Step {
	place := t.stand(&v)
	failed := v.Failures > t.failures
	t.failures = v.Failures
	var s Step
	switch {
	case place.leads:
		s = t.lead(&v, failed)
	case place.told == nil:
		t.leads, t.told = false, Heard{}
		// A node that has just started looks for itself. Later it waits for those before it.
		s = Step{Probe: t.number == 0, DueMS: place.actMS}
	default:
		s = t.follow(&v, place.told, failed)
	}
	if !s.Probe {
		if s.DueMS <= v.NowMS || s.DueMS > v.NowMS+t.check.IntervalMS {
			s.DueMS = v.NowMS + t.check.IntervalMS
		}
		return s
	}
	t.hints = hintsOf(&v)
	return s
}

func hintsOf(v *View) (sum uint64) {
	for i := range v.Heard {
		sum += v.Heard[i].Word.Failures
	}
	return sum
}

// lead probes the server once per interval, and once more if clients fail on any node.
func (t *Turn) lead(v *View, failed bool) Step {
	if !t.leads {
		t.leads, t.doubts, t.told = true, false, Heard{}
		if t.own.verdict != t.current {
			t.own = judged{verdict: t.current}
		}
	}
	hints := hintsOf(v)
	t.hints = min(t.hints, hints) // a node that has left takes its failures with it
	hinted := failed || hints > t.hints
	if v.NowMS >= t.dueMS || hinted && t.extra(v.NowMS) {
		return Step{Probe: true}
	}
	if hinted {
		t.hints = hints // the next probe comes within an interval anyway
	}
	return Step{DueMS: t.dueMS}
}

// extra reports whether a probe out of turn may be made: one per interval, so that no peer makes this node send more
// than twice the probes.
func (t *Turn) extra(nowMS int64) bool {
	if t.extraMS != 0 && nowMS-t.extraMS < t.check.IntervalMS {
		return false
	}
	t.extraMS = nowMS
	return true
}

// follow lets the verdict of the prober count, unless this node sees otherwise.
func (t *Turn) follow(v *View, told *Heard, failed bool) Step {
	t.leads, t.told, t.silentMS = false, *told, told.endMS()
	t.dueMS = told.AtMS + told.Word.NextMS
	s := Step{From: told.From, DueMS: t.nextLook(v.NowMS)}
	switch verdict := told.Word.Verdict; {
	case t.doubts:
		t.settle()
		if t.doubts && v.NowMS-max(t.probedMS, t.doubtMS) >= t.check.IntervalMS {
			s.Probe = true
		}
	case failed && t.current == Healthy:
		s.Contradicted = verdict == Healthy
		s.Probe = t.doubt(v.NowMS)
	case verdict == Unhealthy && t.current != Unhealthy:
		// The verdict is checked at once. Meanwhile it counts, unless the server has just served this node.
		seen := max(t.passedMS, v.SucceededMS)
		s.Contradicted = seen != 0 && v.NowMS-seen < t.check.IntervalMS
		if !s.Contradicted {
			s.Took, t.current = true, Unhealthy
		}
		s.Probe = t.doubt(v.NowMS)
		s.LimitMS = max(leastLimitMS, 4*t.tookMS)
	case verdict == Unhealthy && v.NowMS-max(t.probedMS, t.sinceMS) >= againIntervals*t.check.IntervalMS:
		s.Probe = t.doubt(v.NowMS)
	default:
		s.Took = t.current != verdict
		t.current = verdict
		t.own = judged{verdict, int(told.Word.Passes), int(told.Word.Fails)}
	}
	s.Tell = failed
	if t.doubts {
		s.DueMS = max(t.probedMS, t.doubtMS) + t.check.IntervalMS
		return s
	}
	if t.saidMS != 0 && !failed && v.NowMS-t.saidMS >= t.check.IntervalMS {
		t.saidMS, s.Withdraw = 0, true
	}
	return s
}

// doubt makes this node believe only itself, and returns whether it probes at once.
func (t *Turn) doubt(nowMS int64) bool {
	t.doubts, t.doubtMS = true, nowMS
	return t.extra(nowMS)
}

// nextLook is when the next word of the prober should be here, or when its last one ends.
func (t *Turn) nextLook(nowMS int64) int64 {
	if at := t.dueMS + t.told.Word.TookMS + graceMS; at > nowMS {
		return at
	}
	return t.told.endMS() + 1
}

// settle ends the doubt of a node whose own probes since say what the prober says.
func (t *Turn) settle() {
	verdict := t.told.Word.Verdict
	if t.probedMS >= t.doubtMS && t.own.verdict == verdict && t.passed == (verdict == Healthy) {
		t.doubts = false
		t.current = verdict
	}
}

// End counts a probe of this node. pauseMS is the time until the next, if it stays the prober.
func (t *Turn) End(passed bool, tookMS, pauseMS, nowMS int64) {
	t.probedMS, t.passed, t.tookMS, t.dueMS = nowMS, passed, tookMS, nowMS+pauseMS
	t.number++
	if passed {
		t.passedMS = nowMS
		if t.own.passes, t.own.fails = t.own.passes+1, 0; t.own.passes >= t.check.Passes {
			t.own.verdict = Healthy
		}
	} else {
		t.failed++
		t.own.passes, t.own.fails = 0, t.own.fails+1
		agrees := !t.leads && t.told.Word.Verdict == Unhealthy
		if t.own.fails >= t.check.Fails || agrees {
			t.own.verdict = Unhealthy
		}
	}
	if t.own.verdict != Unknown {
		t.current = t.own.verdict
	}
	if t.doubts {
		t.settle()
	}
}

// Current is the verdict that counts on this node.
func (t *Turn) Current() Verdict { return t.current }

// Leads reports whether this node probes the server for the others.
func (t *Turn) Leads() bool { return t.leads }

// Doubts reports whether this node believes its own probes only, although another node probes the server.
func (t *Turn) Doubts() bool { return t.doubts }

// Follows is the node whose verdict counts; false if it is this one's own.
func (t *Turn) Follows() (from zone.Origin, ok bool) {
	return t.told.From, !t.leads && !t.doubts && t.told.Word.Verdict != Unknown
}

// LastPassed is whether the prober's last probe has passed; known is false unless this node follows one.
func (t *Turn) LastPassed() (passed, known bool) {
	_, known = t.Follows()
	return t.told.Word.Fails == 0, known
}

// Word is what to tell the others, after a probe or for Step.Tell. pauseMS is the time until the next probe, 0 if there
// may be none; wallMS is the time in the cluster.
func (t *Turn) Word(pauseMS, wallMS int64, reason string, nowMS int64) Word {
	t.saidMS = nowMS
	if t.number == 0 {
		return Word{Failures: t.failures, AtMS: wallMS, Doubts: t.doubts}
	}
	return Word{
		Verdict: t.own.verdict, Passes: uint32(t.own.passes), Fails: uint32(t.own.fails), Number: t.number,
		Failed: t.failed, TookMS: t.tookMS, AtMS: wallMS, NextMS: pauseMS, Failures: t.failures,
		Doubts: t.doubts, Reason: reason,
	}
}
