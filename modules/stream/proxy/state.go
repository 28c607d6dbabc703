package proxy

import (
	"fmt"
	"strconv"

	"starling/logs"
	"starling/nginx/errno"
	"starling/nginx/units"
	"starling/stream"
	"starling/vars"
)

// state are the values of the $upstream_… variables of one try. Times are in milliseconds since it began, -1 for an
// event that has not happened yet.
type state struct {
	address                           string
	startMS                           int64
	connectMS, firstByteMS, sessionMS int64
	sent, received                    int64
}

func newState(address string, nowMS int64) state {
	return state{address: address, startMS: nowMS, connectMS: -1, firstByteMS: -1, sessionMS: -1}
}

// state is that of the current try.
func (x *relayed) state() *state { return &x.states[len(x.states)-1] }

// closeState records the outcome of the current try, if there was one.
func (x *relayed) closeState() {
	if len(x.states) == 0 {
		return
	}
	st := x.state()
	if st.sessionMS < 0 {
		st.sessionMS = x.s.Now().MonoMS - st.startMS
	}
	st.sent, st.received, st.firstByteMS = x.sent.Load(), x.received.Load(), x.firstByteMS.Load()
}

// note is appended to the session's messages in the error log.
func (x *relayed) note() (fields logs.Context) {
	if len(x.states) > 0 {
		fields = append(fields, logs.Field{Name: "upstream", Value: x.state().address, Quoted: true})
	}
	bytes := func(whose string, from, to int64) {
		fields = append(fields, logs.Field{
			Name: "bytes_from_to_" + whose, Label: "bytes from/to " + whose, Tight: true,
			Value: fmt.Sprintf("%d/%d", from, to),
		})
	}
	bytes("client", x.s.BytesReceived(), x.s.BytesSent())
	bytes("upstream", x.received.Load(), x.sent.Load())
	return fields
}

// plainLogf logs at level info without appending client and server.
func (x *relayed) plainLogf(format string, args ...any) {
	if log := x.s.Server.Log; log.Enabled(logs.Info) {
		log.Logf(logs.Info, "%v%s", logs.Connection(x.s.Number), fmt.Sprintf(format, errno.Args(args)...))
	}
}

// The variables. They have no value without a try; several tries are joined by commas.
var variables = []vars.Variable[*stream.Session]{
	each(
		"upstream_addr",
		"The addresses of the servers tried.",
		func(dst []byte, st *state) []byte { return append(dst, st.address...) },
	),
	each(
		"upstream_bytes_sent",
		"The bytes sent to the servers.",
		func(dst []byte, st *state) []byte { return strconv.AppendInt(dst, st.sent, 10) },
	),
	each(
		"upstream_bytes_received",
		"The bytes received from the servers.",
		func(dst []byte, st *state) []byte { return strconv.AppendInt(dst, st.received, 10) },
	),
	each("upstream_connect_time", "The connect times, in seconds with milliseconds.",
		func(dst []byte, st *state) []byte { return units.AppendSeconds(dst, st.connectMS) }),
	each("upstream_first_byte_time", "The times to the servers' first bytes, in seconds with milliseconds.",
		func(dst []byte, st *state) []byte { return units.AppendSeconds(dst, st.firstByteMS) }),
	each("upstream_session_time", "The durations of the sessions with the servers, in seconds with milliseconds.",
		func(dst []byte, st *state) []byte { return units.AppendSeconds(dst, st.sessionMS) }),
}

func each(name, doc string, add func(dst []byte, st *state) []byte) vars.Variable[*stream.Session] {
	return vars.Variable[*stream.Session]{
		Name: name,
		Doc:  doc,
		Append: func(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
			x, ok := s.Content.(*relayed)
			if !ok || len(x.states) == 0 {
				return dst, false
			}
			for i := range x.states {
				if i > 0 {
					dst = append(dst, ", "...)
				}
				dst = add(dst, &x.states[i])
			}
			return dst, true
		},
	}
}

// figures are nginx's log figures of a UDP session that has ended.
func figures(requests, responses int, received, sent, upReceived, upSent int64) string {
	return fmt.Sprintf("packets from/to client:%d/%d, bytes from/to client:%d/%d, bytes from/to upstream:%d/%d",
		requests, responses, received, sent, upReceived, upSent)
}
