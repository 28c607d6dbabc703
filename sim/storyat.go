package sim

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"starling/zone/kinds"
)

// This file has the commands and expectations of a story at one host.

func (w *World) at(c *command) error {
	for _, tell := range []func(*World, *command) (bool, error){
		(*World).doAt, (*World).expectAt, (*World).expectStatus, (*World).connectionsAt,
	} {
		if known, err := tell(w, c); known {
			return err
		}
	}
	return errWords
}

func (w *World) doAt(c *command) (known bool, err error) {
	h := c.host
	switch c.word(0) {
	case "set":
		return true, h.set(c.word(1), c.word(2))
	case "set-for": // set-for 60s key value
		return true, h.setTimed(timed{key: c.word(2), value: c.word(3)}, c.duration(1).Milliseconds())
	case "bind-once": // a session that is not used
		return true, h.setTimed(timed{key: c.word(1), value: c.word(2), session: true}, w.options.SessionTimeoutMS)
	case "update": // a pair that must be there
		return true, h.keyval.Update([]byte(c.word(1)), []byte(c.word(2)), kinds.NoExpire, h.clusterNow())
	case "many": // many 500 key value: key0, key1, …
		for i := range c.number(1) {
			if err := h.set(fmt.Sprint(c.word(2), i), c.word(3)); err != nil {
				return true, err
			}
		}
		return true, nil
	case "delete":
		h.remove(c.word(1))
	case "deletes": // deletes 100 key: key0, key1, …
		for i := range c.number(1) {
			h.remove(fmt.Sprint(c.word(2), i))
		}
	case "clear":
		return true, h.clear()
	case "bind":
		return true, h.session.Bind([]byte(c.word(1)), []byte(c.word(2)), h.clusterNow())
	case "logins": // logins 100 key server < 3: key0, key1, …, each answered within 2 ms
		for i := range c.number(1) {
			tookMS, err := w.loginNow(h, fmt.Sprint(c.word(2), i), c.word(3))
			if err == nil {
				err = c.figure(tookMS)
			}
			if err != nil {
				return true, fmt.Errorf("login %d: %w", i, err)
			}
		}
	case "binds": // binds 500 key server: key0, key1, …
		for i := range c.number(1) {
			if err := h.session.Bind(fmt.Append(nil, c.word(2), i), []byte(c.word(3)), h.clusterNow()); err != nil {
				return true, err
			}
		}
	case "unbinds": // unbinds 500 key: key0, key1, …
		for i := range c.number(1) {
			h.session.Delete(fmt.Append(nil, c.word(2), i), h.clusterNow())
		}
	case "touch":
		if !h.session.Touch([]byte(c.word(1)), h.clusterNow()) {
			return true, errors.New("there is no such session")
		}
	case "hit": // hit 100 key
		h.hit(c.word(2), c.number(1))
	case "fill": // fill 5000: pairs until the zone is full, or so many
		for i := range c.number(1) {
			if err := h.set(fmt.Sprintf("fill%d.%d", h.index, i), "x"); errors.Is(err, kinds.ErrFull) {
				return true, nil
			}
		}
		return true, errors.New("the zone is not full")
	default:
		return false, nil
	}
	return true, nil
}

// expectAt compares what a reader finds. "-" means nothing.
func (w *World) expectAt(c *command) (known bool, err error) {
	h := c.host
	want := func(got string) error {
		if got == "" {
			got = "-"
		}
		if got != c.word(2) {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	}
	switch c.word(0) {
	case "get":
		return true, want(h.get(c.word(1)))
	case "finds": // finds key server < 3: what a request finds that asks the peers if it must, within 2 ms
		server, tookMS := w.find(h, c.word(1))
		return true, cmp.Or(want(server), c.figure(tookMS))
	case "lookup":
		server, _ := h.session.Lookup([]byte(c.word(1)), h.clusterNow())
		return true, want(server)
	case "count": // exactly, except what has just drained
		if got := h.count(c.word(1)); got != int64(c.number(2)) && got != int64(c.number(2))-1 {
			return true, fmt.Errorf("it counts %d", got)
		}
	case "count-at-most":
		if got := h.count(c.word(1)); got > int64(c.number(2)) {
			return true, fmt.Errorf("it counts %d", got)
		}
	case "records":
		if got := h.keyval.Len(); got != c.number(1) {
			return true, fmt.Errorf("it has %d", got)
		}
	default:
		return false, nil
	}
	return true, nil
}

// figure compares a number with the end of the line: "< 3".
func (c *command) figure(got int64) error {
	want := int64(c.number(len(c.words) - 1))
	switch op := c.word(len(c.words) - 2); {
	case op == "=" && got == want, op == "<" && got < want, op == ">" && got > want:
		return nil
	}
	return fmt.Errorf("it is %d", got)
}

// expectStatus reads the operator's status.
func (w *World) expectStatus(c *command) (known bool, err error) {
	h := c.host
	status := h.node.Status(h.now())
	figure := c.figure
	switch c.word(0) {
	case "said":
		if text := strings.Join(c.words[1:], " "); !h.said(text) {
			return true, errors.New("its log has no such line")
		}
	case "silent": // about
		if text := strings.Join(c.words[1:], " "); h.said(text) {
			return true, errors.New("its log has such a line")
		}
	case "online":
		return true, figure(status.Node.NodesOnline)
	case "left-out": // peers for which answers do not wait
		return true, figure(int64(len(h.leftOut())))
	case "waits-in-vain":
		return true, figure(status.Deliveries.Late)
	case "asks-in-vain":
		return true, figure(status.Questions.Late)
	case "sent":
		return true, figure(status.Node.BytesOut)
	case "forfeited": // requests
		return true, figure(status.Zones["lim"].Forfeited / 1000)
	case "repaired":
		return true, figure(status.Zones[c.word(1)].Repaired)
	case "tombstones":
		return true, figure(status.Zones[c.word(1)].Tombstones)
	case "given-up":
		return true, figure(status.Zones[c.word(1)].GaveUp)
	case "full": // full kv = 0
		full := int64(0)
		if status.Zones[c.word(1)].Full {
			full = 1
		}
		return true, figure(full)
	case "ahead":
		return true, figure(status.Zones[c.word(1)].Ahead)
	case "shows": // shows kv differ
		for _, p := range status.Peers {
			if got := p.Digests[c.word(1)].State; p.Pushing && got != strings.Join(c.words[2:], " ") {
				return true, fmt.Errorf("of host %s it shows %q", p.Address, got)
			}
		}
	default:
		return false, nil
	}
	return true, nil
}

// connectionsAt has what a story does with connections.
func (w *World) connectionsAt(c *command) (known bool, err error) {
	h := c.host
	switch c.word(0) {
	case "open": // open 3 key, with a limit of 65535; open 3 key 5: with a limit of 5, of which some may be rejected
		limit := 65535
		if len(c.words) > 3 {
			limit = c.number(3)
		}
		for range c.number(1) {
			h.enter(c.word(2), uint32(limit))
		}
	case "close": // close 3 key
		for range c.number(1) {
			h.leaveKey(c.word(2))
		}
	case "connections": // connections key 5: at all nodes, as far as this one knows
		if got, _ := h.conn.Count([]byte(c.word(1))); int(got) != c.number(2) {
			return true, fmt.Errorf("it counts %d", got)
		}
	case "opened": // opened key 5: of this host
		if got := len(h.open[c.word(1)]); got != c.number(2) {
			return true, fmt.Errorf("%d are open", got)
		}
	default:
		return false, nil
	}
	return true, nil
}
