package strict

import (
	"reflect"

	"starling/cluster/strict"
	"starling/cluster/strict/register"
	"starling/cluster/wire"
)

// voter is a host's part in the real register of views: that of the program, driven by the clock and the links of the
// world. Its file outlives crashes, unless that is lost, too.
type voter struct {
	register *register.Register
	file     []byte
	tickUS   int64
	savedUS  int64 // when its file is saved
}

// viewsName is the name of the views in the register.
const viewsName = "zone"

// Save implements register.Disk.
func (v *voter) Save(state []byte) error {
	v.file = state
	return nil
}

// startVoter starts a host's part in the register, with its file.
func (w *World) startVoter(i int) {
	v, h := w.voters[i], w.hosts[i]
	r, err := register.New(register.Config{
		Self: h.seat, Seats: w.Hosts, List: 1, Random: w.rng.Uint64, Disk: v,
	}, v.file, h.local(w.nowUS))
	if err != nil {
		w.failf("host %d: %v", i, err)
		return
	}
	v.register, v.tickUS = r, 0
	w.afterVoter(i)
}

// reload gives a host the settings that all shall have: a new node in the same process, so its part in the register
// goes on.
func (w *World) reload(i int) {
	h := w.hosts[i]
	switch {
	case !h.up || h.settings == w.settings:
		return
	case h.frozenUS > w.nowUS:
		w.at(h.frozenUS, func() { w.reload(i) })
		return
	}
	w.logf("host %d has settings %d", i, w.settings)
	for ticket, at := range w.waits {
		if at.host == i { // rejected
			delete(w.waits, ticket)
		}
	}
	h.settings, h.tickUS, w.voters[i].tickUS = w.settings, 0, 0
	w.newNode(i)
	if value, ok := w.voters[i].register.Latest(viewsName); ok {
		w.decide(i, value)
	}
	w.afterVoter(i)
	w.after(i)
}

// reloadAll reloads all hosts with new settings, one after the other.
func (w *World) reloadAll(first int) {
	w.settings++
	w.reload(first)
	at := w.nowUS
	for i := range w.hosts {
		at += w.rng.Int64N(2 * w.LeaseUS)
		w.at(at, func() { w.reload(i) })
	}
}

// loseFile makes a host that is down forget its vote and what was decided.
func (w *World) loseFile(i int) {
	w.logf("host %d loses its file", i)
	w.voters[i].file = nil
}

// afterVoter takes what the register of a host has to say.
func (w *World) afterVoter(i int) {
	v, h := w.voters[i], w.hosts[i]
	if err := v.register.Failed(); err != nil {
		w.failf("host %d: %v", i, err)
		return
	}
	letters, decided := v.register.Out(), v.register.Decided()
	if len(letters)+len(decided) > 0 {
		w.whenSaved(i, func() {
			for _, letter := range letters {
				w.sendLetter(i, int(letter.To), letter.Body)
			}
			for _, value := range decided {
				w.decide(i, value)
			}
		})
	}
	leader, known := v.register.Leader()
	if !known {
		leader = -1
	}
	h.node.Follow(leader, h.local(w.nowUS))
	due := max(h.when(v.register.DueUS()), w.nowUS+1)
	if v.tickUS == 0 || due < v.tickUS {
		v.tickUS = due
		incarnation := h.incarnation
		w.at(due, func() { w.tickVoter(i, due, incarnation) })
	}
}

// whenSaved does what depends on the file of a host, in order. With slow disks, that takes a part of a lease now and
// then, while the host goes on answering others: between the consent to a view and its decision is time enough for a
// host to be back.
func (w *World) whenSaved(i int, then func()) {
	v, incarnation := w.voters[i], w.hosts[i].incarnation
	if w.onlyIsolation && w.rng.IntN(4) == 0 {
		v.savedUS = max(v.savedUS, w.nowUS+w.rng.Int64N(w.LeaseUS/2))
	}
	if v.savedUS <= w.nowUS {
		then()
		return
	}
	var saved func()
	saved = func() {
		switch h := w.hosts[i]; {
		case !h.up || h.incarnation != incarnation:
		case h.frozenUS > w.nowUS:
			w.at(h.frozenUS, saved)
		default:
			then()
			w.after(i)
		}
	}
	w.at(v.savedUS, saved)
}

func (w *World) tickVoter(i int, due int64, incarnation uint64) {
	v, h := w.voters[i], w.hosts[i]
	switch {
	case !h.up || h.incarnation != incarnation || v.tickUS != due:
		return
	case h.frozenUS > w.nowUS:
		v.tickUS = h.frozenUS
		w.at(h.frozenUS, func() { w.tickVoter(i, v.tickUS, incarnation) })
		return
	}
	v.tickUS = 0
	v.register.Tick(h.local(w.nowUS))
	w.afterVoter(i)
	w.after(i)
}

// decide installs a view, which all hosts must know alike.
func (w *World) decide(i int, decided register.Value) {
	view, err := wire.ParseStrictView(decided.Data)
	if err != nil || view.Number != decided.Number {
		w.failf("host %d: view %d is %x: %v", i, decided.Number, decided.Data, err)
		return
	}
	if w.views == nil {
		w.views = map[uint64]strict.View{}
	}
	if known, ok := w.views[view.Number]; ok && !reflect.DeepEqual(known, view) {
		w.failf("host %d: view %d is %v, others have %v", i, view.Number, view, known)
	} else if !ok {
		w.views[view.Number] = view
		w.logf("view %d is decided: %v", view.Number, view.Members)
	}
	w.hosts[i].node.Install(view, w.hosts[i].local(w.nowUS))
}

// throughWire is a message after it was bytes.
func (w *World) throughWire(m strict.Message) strict.Message {
	read, err := wire.ParseStrictMessage(wire.AppendStrictMessage(nil, &m))
	if err != nil {
		w.failf("%+v is read as %v", m, err)
	}
	read.From, read.To = m.From, m.To
	return read
}

func (w *World) sendLetter(from, to int, body []byte) {
	l := &w.links[from][to]
	if l.cut || !w.hosts[to].up || w.loss > 0 && w.rng.Float64() < w.loss {
		return
	}
	generation, incarnation := l.generation, w.hosts[to].incarnation
	lag := int64(w.LagUS * w.lagFactor * (1 + 0.5*w.rng.ExpFloat64()))
	l.lastUS = max(l.lastUS+1, w.nowUS+lag)
	var arrive func()
	arrive = func() {
		h := w.hosts[to]
		switch {
		case !h.up || h.incarnation != incarnation || generation != w.links[from][to].generation:
			return
		case h.frozenUS > w.nowUS:
			w.at(h.frozenUS, arrive)
			return
		}
		if err := w.voters[to].register.Receive(strict.Seat(from), body); err != nil {
			w.failf("host %d rejects a message of host %d: %v", to, from, err)
		}
		w.afterVoter(to)
		w.after(to)
	}
	w.at(l.lastUS, arrive)
}

// raftPropose has the register decide on a view. A proposal that is dropped is made again later.
func (w *World) raftPropose(i int, view strict.View) {
	proposal := register.Value{Name: viewsName, Number: view.Number, Data: wire.AppendStrictView(nil, &view)}
	if err := w.voters[i].register.Propose(proposal); err != nil {
		w.logf("host %d: view %d: %v", i, view.Number, err)
	}
	w.at(w.nowUS, func() {
		if w.hosts[i].up && w.hosts[i].frozenUS <= w.nowUS {
			w.afterVoter(i)
			w.after(i)
		}
	})
}
