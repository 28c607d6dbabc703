package carrier

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"starling/cluster/strict"
	"starling/cluster/strict/register"
	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/durable"
	"starling/logs"
	"starling/zone"
)

// StrictConfig are the limits of this node that are never exceeded.
type StrictConfig struct {
	// File keeps this node's part in the register of views.
	File string
	// Gates are those of the zones, at most MaxStrictZones. They are used with clock.SteadyUS.
	Gates []*strict.Gate
	// LeaseUS is how long a node may decide after a majority confirmed it; 0: StrictLeaseUS. Nodes with another lease
	// are not members of the zones.
	LeaseUS int64
	// ConnLeaseUS is that of zones of connections, above 0 if there are some.
	ConnLeaseUS int64
	// Privileged runs work on the file with the privileges with which the process was started; nil: as it is.
	Privileged func(work func() error) error
	// write replaces durable.WriteFile in tests.
	write func(file string, state []byte) error
}

// onFile runs work on the file.
func (c *StrictConfig) onFile(work func() error) error {
	if c.Privileged == nil {
		return work()
	}
	return c.Privileged(work)
}

const (
	// MaxStrictZones bounds the zones: each has leases of its own, which are renewed 27 times a second for each peer.
	MaxStrictZones = 16
	// StrictLeaseUS is the usual lease, that of releases without StrictConfig.LeaseUS.
	StrictLeaseUS = 150_000
	// lookEveryUS is how often the list of members is looked at, and what their releases know.
	lookEveryUS = 100_000
	// idleUS is how often a node without strict zones looks: a reload makes it look at once.
	idleUS = 3600 * 1_000_000
	// strictInboxMost bounds the messages that wait for the runner.
	strictInboxMost = 1 << 14
	// strictHoldingsMost bounds the keys in claims that wait: those of a takeover with many keys, 100 MB.
	strictHoldingsMost = 1 << 20
)

// strictRunner runs the register and the nodes of the strict zones: it gives them time, messages and a disk.
type strictRunner struct {
	carrier *Carrier
	wake    chan struct{}
	// fenceWake makes the fence look at once.
	fenceWake chan struct{}
	changed   atomic.Bool // the configuration
	retired   atomic.Bool // another process takes this node's place

	mu    sync.Mutex
	inbox []strictItem
	seats *seating // of the register that runs, nil if none does; replaced, not changed
	// bytes are those of letters in the inbox, holdings those of claims.
	bytes, holdings int
	wrote           [strict.MembersMost]wrote // by seat

	// The rest belongs to the runner's goroutine.
	config   StrictConfig
	register *register.Register
	file     io.Closer // the lock
	lookUS   int64
	retry    retry
	told     map[string]bool         // what was logged, until it changes
	old      map[string]bool         // addresses of members whose release keeps no strict limits
	open     map[*strict.Gate]uint64 // their tags
	leaseUS  int64                   // that they have
	others   [strict.MembersMost]differing
	metUS    [strict.MembersMost]int64 // since when a member is connected, while there is no group; 0: it is not
	silent   map[*strict.Gate]*missing
	limits   map[*strict.Gate]*otherLimits
	fallen   map[*strict.Gate]*fallen
	unseated unseated
}

// strictItem is a message that came.
type strictItem struct {
	from   strict.Seat // of a letter
	via    strict.Seat // the peer that sent it
	zone   uint64
	m      strict.Message
	letter []byte
}

func newStrictRunner(c *Carrier) *strictRunner {
	return &strictRunner{
		carrier: c, wake: make(chan struct{}, 1), fenceWake: make(chan struct{}, 1), told: map[string]bool{},
		old: map[string]bool{}, open: map[*strict.Gate]uint64{}, fallen: map[*strict.Gate]*fallen{},
		silent: map[*strict.Gate]*missing{}, limits: map[*strict.Gate]*otherLimits{},
	}
}

// poke makes the runner look at once.
func (r *strictRunner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// StrictMessage implements cluster.Strict.
func (r *strictRunner) StrictMessage(address string, list, zoneTag uint64, m strict.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seats
	if s == nil || s.hash != list || len(r.inbox) >= strictInboxMost {
		return
	}
	from, ok := s.of(address)
	if !ok || int(m.From) >= len(s.members) || int(m.To) >= len(s.members) || m.From == s.self {
		return
	}
	// A peer speaks for itself, or passes on what another one has for this node.
	if m.From != from && (m.To != s.self || m.Kind.Direct()) {
		return
	}
	if r.holdings+len(m.Holdings) > strictHoldingsMost {
		return // it is noticed as lost
	}
	r.holdings += len(m.Holdings)
	r.inbox = append(r.inbox, strictItem{via: from, zone: zoneTag, m: m})
	r.poke()
}

// StrictLetter implements cluster.Strict.
func (r *strictRunner) StrictLetter(address string, m wire.Register) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seats
	if s == nil {
		return
	}
	from, ok := s.of(address)
	if ok {
		r.wrote[from].note(m.List == s.hash, clock.SteadyUS())
	}
	if !ok || s.hash != m.List || r.bytes+len(m.Letter) > wire.MaxStrictBytes || strict.Seat(m.From) != from ||
		strict.Seat(m.To) != s.self {
		return
	}
	r.inbox = append(r.inbox, strictItem{from: from, letter: slices.Clone(m.Letter)})
	r.bytes += len(m.Letter)
	r.poke()
}

// run drives everything until the carrier is closed.
func (r *strictRunner) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.carrier.ctx.Done():
			r.end("this node is shutting down", false)
			return
		}
		if wait := r.step(clock.SteadyUS()) - clock.SteadyUS(); wait > 0 {
			timer.Reset(time.Duration(wait) * time.Microsecond)
		} else {
			r.poke()
		}
	}
}

// step does what is due, and returns when to do that again.
func (r *strictRunner) step(nowUS int64) (dueUS int64) {
	if nowUS >= r.lookUS || r.changed.Swap(false) {
		r.lookUS = nowUS + lookEveryUS
		r.look(nowUS)
	}
	r.mu.Lock()
	items := r.inbox
	r.inbox, r.bytes, r.holdings = nil, 0, 0
	r.mu.Unlock()
	if r.register == nil {
		return r.lookUS
	}
	for i := range items {
		r.receive(&items[i], nowUS)
	}
	r.register.Tick(nowUS)
	dueUS = min(r.lookUS, r.register.DueUS())
	for gate := range r.open {
		dueUS = min(dueUS, gate.Tick(nowUS))
	}
	r.exchange(nowUS)
	return dueUS
}

func (r *strictRunner) receive(item *strictItem, nowUS int64) {
	if item.letter != nil {
		if err := r.register.Receive(item.from, item.letter); err != nil {
			r.tellOnce(logs.Warn, "strict limits: register: member %s: %v", r.seats.members[item.from], err)
		}
		return
	}
	switch {
	case item.m.From != item.via:
		if !r.seats.made(item.zone, &item.m) {
			r.tellOnce(logs.Info, "strict limits: dropped a message of member %s that member %s passed on: its seal "+
				"is wrong", r.seats.members[item.m.From], r.seats.members[item.via])
			return
		}
	case item.m.Kind == strict.Ping:
		r.seats.meet(&item.m)
	}
	for gate, tag := range r.open {
		if tag == item.zone {
			if silent := r.silent[gate]; silent != nil {
				silent[item.m.From] = nowUS
			}
			r.noteLimit(gate, &item.m, nowUS)
			gate.Receive(item.m, nowUS)
			return
		}
	}
	r.others[item.m.From].note(nowUS)
}

// exchange passes views between the register and the gates, and letters to the peers.
func (r *strictRunner) exchange(nowUS int64) {
	leader, known := r.register.Leader()
	if !known {
		leader = -1
	}
	for gate := range r.open {
		gate.Follow(leader, nowUS)
		v, ok := gate.Proposal()
		if !ok {
			continue
		}
		value := register.Value{Name: gate.Name, Number: v.Number, Data: wire.AppendStrictView(nil, &v)}
		if err := r.register.Propose(value); err != nil {
			r.carrier.logf(logs.Debug, "strict limits: view %d of %v: %v", v.Number, gate, err)
		}
	}
	for _, value := range r.register.Decided() {
		for gate := range r.open {
			if gate.Name == value.Name {
				r.install(gate, value, nowUS)
			}
		}
	}
	s := r.seats
	for _, letter := range r.register.Out() {
		m := wire.Register{List: s.hash, From: uint8(s.self), To: uint8(letter.To)}
		frame := wire.AppendFrame(nil, wire.TypeRegister, m.Append(nil), letter.Body)
		r.carrier.node.SendStrict(s.addresses[letter.To], frame)
	}
	if err := r.register.Failed(); err != nil {
		r.fail(err, nowUS)
	}
}

func (r *strictRunner) install(gate *strict.Gate, value register.Value, nowUS int64) {
	v, err := wire.ParseStrictView(value.Data)
	if err != nil || v.Number != value.Number {
		r.tellOnce(logs.Error, "strict limits: view %d of %v cannot be read: %v", value.Number, gate, err)
		return
	}
	var names []string
	for _, m := range v.Members {
		if int(m.Seat) < len(r.seats.members) {
			names = append(names, r.seats.members[m.Seat])
		}
	}
	r.carrier.logf(logs.Notice, "strict limits: view %d of %v has %d of %d members: %s", v.Number, gate, len(names),
		len(r.seats.members), strings.Join(names, ", "))
	gate.Install(v, nowUS)
}

// look follows the list of members and the releases that they run.
func (r *strictRunner) look(nowUS int64) {
	config := r.carrier.config.Load().Strict
	if r.retired.Load() && config != nil {
		r.end("another process has taken this node's place", false)
		fallBack(config.Gates, 0) // the other process does
		r.lookUS = nowUS + idleUS
		return
	}
	if config == nil || len(config.Gates) == 0 {
		r.end("the zone is not configured any more", false)
		r.lookUS = nowUS + idleUS
		return
	}
	r.config = *config
	if leaseUS := cmp.Or(config.LeaseUS, StrictLeaseUS); leaseUS != r.leaseUS {
		r.end("the lease has changed", false)
		r.leaseUS = leaseUS
	}
	fallBack(config.Gates, r.membersOfList())
	r.tellFallen(nowUS)
	wanted, why := r.seating()
	if r.seats != nil && (wanted == nil || wanted.hash != r.seats.hash || wanted.self != r.seats.self) {
		r.carrier.logf(logs.Notice, "strict limits: the list of members has changed")
		r.end("the list of members has changed", false)
	}
	if wanted == nil {
		r.closeAll(why, false)
		return
	}
	if wanted.self < 0 {
		r.closeUnseated(wanted, nowUS)
		return
	}
	r.unseated = unseated{}
	if older := r.older(wanted); len(older) > 0 {
		why := fmt.Sprintf("%s does not keep strict limits: upgrade it", strings.Join(older, ", "))
		r.end(why, true)
		r.closeAll(why, true)
		return
	}
	if r.register == nil && !r.beginOrWait(wanted, nowUS) {
		return
	}
	r.openGates(nowUS)
	r.tellDiffering(nowUS)
	r.tellMissing(nowUS)
}

// begin starts the register with what its file has.
func (r *strictRunner) begin(s *seating, nowUS int64) error {
	var file io.Closer
	err := r.config.onFile(func() (err error) {
		file, err = durable.LockFile(r.config.File)
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w", r.config.File, err)
	}
	var saved []byte
	err = r.config.onFile(func() (err error) {
		saved, err = os.ReadFile(r.config.File)
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		if err := r.probe(saved); err != nil {
			return errors.Join(err, file.Close())
		}
		config := register.Config{
			Self: s.self, Seats: len(s.members), List: s.hash, Random: random64, Disk: disk{&r.config},
			TickUS: register.TickUS * r.leaseUS / StrictLeaseUS,
		}
		r.register, err = register.New(config, saved, nowUS)
		if errors.Is(err, register.ErrOtherList) {
			config.Used = true
			r.register, err = register.New(config, nil, nowUS)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot use %s: %w; remove the file to join as a new member", r.config.File, err),
			file.Close())
	}
	r.file, s.seals = file, newSeals()
	r.mu.Lock()
	r.seats = s
	r.mu.Unlock()
	r.tellOnce(logs.Notice, "strict limits: this node is %s, seat %d of %d", s.members[s.self], s.self, len(s.members))
	return nil
}

// openGates opens those of the configuration, and forgets others.
func (r *strictRunner) openGates(nowUS int64) {
	for gate, tag := range r.open {
		switch {
		case !slices.Contains(r.config.Gates, gate):
			gate.Close("the zone is not configured any more")
			delete(r.open, gate)
		case tag != r.tagOf(gate):
			gate.CloseTo("its lease has changed", false, nowUS)
			delete(r.open, gate)
		}
	}
	if !r.register.Founded() {
		r.closeAll(r.unfounded(nowUS), false)
		return
	}
	s := r.seats
	for _, gate := range r.config.Gates {
		if _, open := r.open[gate]; open {
			continue
		}
		config := strict.Config{
			Self: s.self, Incarnation: random64() | 1, Limit: gate.Limit, LeaseUS: r.leaseOf(gate),
			KeysMost: gate.KeysMost, OwnViews: true, NeverEmpty: r.register.Used(), Before: gate.Before,
		}
		if gate.Conns() {
			config.Slots, config.KeysMost = gate.ConnLimit()
		}
		for _, member := range s.members {
			config.IDs = append(config.IDs, zone.KeyHash([]byte(member)))
		}
		if err := config.Check(); err != nil {
			r.tellOnce(logs.Error, "strict limits: %v: %v", gate, err)
			gate.Close(err.Error())
			continue
		}
		clear(r.told)
		tag := r.tagOf(gate)
		r.open[gate] = tag
		send := func(e strict.Envelope) { r.send(s, tag, e) }
		gate.Open(strict.New(config, nowUS), s.members, send, r.poke)
		if value, ok := r.register.Latest(gate.Name); ok {
			r.install(gate, value, nowUS)
		}
	}
	r.pokeFence()
}

// send sends a message of a gate, which holds its lock.
func (r *strictRunner) send(s *seating, tag uint64, e strict.Envelope) {
	s.proven(tag, &e)
	envelope := wire.Strict{List: s.hash, Zone: tag, From: uint8(e.From), To: uint8(e.To)}
	frames := wire.AppendStrictFrames(nil, envelope, wire.AppendStrictMessage(nil, &e.Message))
	r.carrier.node.SendStrict(s.addresses[e.Hop], frames)
}

// end closes all gates and the register.
func (r *strictRunner) end(why string, additive bool) {
	for gate := range r.open {
		gate.CloseTo(why, additive, clock.SteadyUS())
	}
	clear(r.open)
	r.register, r.others, r.metUS = nil, [strict.MembersMost]differing{}, [strict.MembersMost]int64{}
	clear(r.silent) // this node hears nobody from now on, and seats can change
	r.mu.Lock()
	r.seats, r.inbox, r.bytes, r.holdings, r.wrote = nil, nil, 0, 0, [strict.MembersMost]wrote{}
	r.mu.Unlock()
	if r.file != nil {
		if err := r.file.Close(); err != nil {
			r.carrier.logf(logs.Warn, "strict limits: cannot unlock %s: %v", r.config.File, err)
		}
		r.file = nil
	}
}

// tellOnce logs a line that would be repeated.
func (r *strictRunner) tellOnce(level logs.Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	const linesMost = 64
	if r.told[text] || len(r.told) >= linesMost {
		return
	}
	r.told[text] = true
	r.carrier.logf(level, "%s", text)
}

// disk is the file of the register.
type disk struct{ config *StrictConfig }

// Save implements register.Disk.
func (d disk) Save(state []byte) error {
	write := durable.WriteFile
	if d.config.write != nil {
		write = d.config.write
	}
	return d.config.onFile(func() error { return write(d.config.File, state) })
}

func random64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}
