package keyval

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"starling/admin"
	"starling/lib/clock"
	"starling/nginx/units"
	"starling/side"
	"starling/zone"
)

// ack is how many nodes must have a change before its answer: ?ack=all|N&timeout=.
type ack struct {
	nodes   int // 0: the answer does not wait for others
	timeout time.Duration
}

const (
	// maxAckNodes is more nodes than any cluster has.
	maxAckNodes = 1024
	// defaultAckTimeout is long compared to what the nodes need, and maxAckTimeout bounds how long a call occupies its
	// connection.
	defaultAckTimeout = time.Second
	maxAckTimeout     = 30 * time.Second
)

func badAck(format string, args ...any) *admin.APIError {
	return &admin.APIError{Status: http.StatusBadRequest, Code: "KeyvalAckError", Text: fmt.Sprintf(format, args...)}
}

// readAck reads the arguments of a call that writes to the zone.
func (z *Zone) readAck(query url.Values) (a ack, problem *admin.APIError) {
	if !query.Has("ack") {
		if query.Has("timeout") {
			return a, badAck("\"timeout\" requires \"ack\"")
		}
		return a, nil
	}
	text := query.Get("ack")
	if a.nodes = zone.AllNodes; text != "all" {
		var err error
		if a.nodes, err = strconv.Atoi(text); err != nil || a.nodes < 1 || a.nodes > maxAckNodes {
			return a, badAck("invalid ack \"%s\": it must be \"all\" or a number of nodes from 1 to %d", text,
				maxAckNodes)
		}
	}
	a.timeout = defaultAckTimeout
	if query.Has("timeout") {
		var err error
		text := query.Get("timeout")
		if a.timeout, err = units.Time(text); err != nil || a.timeout <= 0 || a.timeout > maxAckTimeout {
			return a, badAck("invalid timeout \"%s\": it must be a time from 1ms to %v", text, maxAckTimeout)
		}
	}
	if !z.spec.sync {
		return a, badAck("zone \"%s\" is not shared, so no other node can acknowledge: add \"sync\" to its "+
			"\"keyval_zone\", or omit \"ack\"", z.Name)
	}
	return a, nil
}

// acknowledged is the body of a 202: the change is made, but time ran out before as many nodes had it as needed.
type acknowledged struct {
	Nodes  int `json:"nodes"`
	Needed int `json:"needed"`
}

// write makes a change, and answers when as many nodes have it as the call needs.
func (b *branch) write(z *Zone, call *admin.Call, change func(now clock.Reading) admin.Answer) admin.Answer {
	a, problem := z.readAck(call.Query)
	if problem != nil {
		return admin.Answer{Err: problem}
	}
	from := z.Journal().Head()
	answer := change(b.clock.Now())
	if answer.Err != nil || a.nodes == 0 {
		return answer
	}
	have, needed := 1, a.nodes
	delivery := z.Deliver(zone.Need{
		Nodes: a.nodes, OnDisk: z.spec.state != "", From: from, LimitMS: a.timeout.Milliseconds(),
	})
	if delivery != nil {
		side.Await(delivery, a.timeout, b.clock)
		have, needed = delivery.Nodes()
	} else if needed == zone.AllNodes {
		needed = 1 // there is no cluster
	}
	if have >= needed {
		return answer
	}
	return admin.Answer{Status: http.StatusAccepted, Body: acknowledged{have, needed}}
}
