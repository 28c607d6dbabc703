package userid

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
)

// part is the state of one configuration.
type part struct {
	reset    vars.Template[*web.Request] // $uid_reset
	prepares bool                        // see prepare
}

// prepared are the values of $uid_got and $uid_set for subrequests that are served in parallel; nil if there is none.
type prepared struct{ got, set []byte }

// prepare chooses the identifier: a mirror may tell it to its server before the client gets it.
func prepare(client *web.Request) {
	if side.DataOf[prepared](client) != nil {
		return // others read it
	}
	x := &prepared{}
	if got, has := appendGot(client, "", nil); has {
		x.got = got
	}
	if set, has := appendSet(client, "", nil); has {
		x.set = set
	}
	client.Slot(side.SlotOf[prepared](&web.Side, client.Plan())).Data = x
}

const (
	idBytes = 16
	// idText is how much of a cookie is the identifier in base64, without padding. A mark and "=" follow.
	idText = 22
)

// id is an identifier: a service, a time, a number of this process and a sequence, four bytes each. The last is 0 in
// none that was given out.
type id [idBytes]byte

func (x *id) some() bool { return binary.LittleEndian.Uint32(x[12:]) != 0 }

// ids are what one request has received and sent.
type ids struct {
	cookie   []byte
	got, set id
	reset    bool
}

func build(b *web.Block) (web.Filter, error) {
	w := plan.Part[part](b.Plan)
	side.SlotOf[ids](&web.Side, b.Plan)
	var err error
	if w.reset, err = web.Side.Variables(b.Plan).Compile("$uid_reset", b.Scope.Node); err != nil {
		return nil, err
	}
	s := conf.SettingsOf[Settings](b.Scope)
	if s.mode != modeOff && !w.prepares {
		w.prepares = true
		side.SlotOf[prepared](&web.Side, b.Plan)
		web.BeforeStart(b.Plan, prepare)
	}
	if s.mode < modeV1 {
		return nil, nil
	}
	return func(r *web.Request) web.Body {
		if r.Parent() == nil {
			s.send(r)
		}
		return nil
	}, nil
}

func preparedFor(r *web.Request) prepared {
	if x := side.DataOf[prepared](r.Outermost()); x != nil {
		return *x
	}
	return prepared{} // no location has userid
}

// read returns what the client has sent.
func (s *Settings) read(r *web.Request) *ids {
	if x := side.DataOf[ids](r); x != nil {
		return x
	}
	x := &ids{}
	r.Slot(side.SlotOf[ids](&web.Side, r.Plan())).Data = x
	cookie, sent := r.Cookie(s.name)
	if !sent {
		return x
	}
	x.cookie = cookie
	if len(cookie) < idText {
		r.Logf(logs.Error, "client sent too short userid cookie \"%s\"", cookie)
		return x
	}
	// What follows is a mark, or rubbish that old programs left in place of the padding.
	if _, err := base64.RawStdEncoding.Decode(x.got[:], cookie[:idText]); err != nil {
		x.got = id{}
		r.Logf(logs.Error, "client sent invalid userid cookie \"%s\"", cookie)
	}
	return x
}

// choose decides what the client gets: nothing, its own identifier with a mark, or a new one.
func (s *Settings) choose(r *web.Request, x *ids) {
	if x.set.some() {
		return
	}
	if x.got.some() {
		reset := r.Expand(&plan.Find[part](r.Plan()).reset)
		if len(reset) == 0 || string(reset) == "0" {
			marked := len(x.cookie) > idText+1 && x.cookie[idText] == s.mark && x.cookie[idText+1] == '='
			if s.mark != 0 && !marked {
				x.set = x.got
			}
			return
		}
		x.reset = true
		if string(reset) == "log" {
			r.Logf(logs.Notice, "userid cookie \"%s\" was reset", appendID(nil, s.name, &x.got))
		}
	}
	s.make(r, &x.set)
}

// Sequences of both versions, as nginx counts them: the first byte of version 1 and the last three of version 2 tell
// the version.
var (
	sequenceV1, sequenceV2 atomic.Uint32
	process                = newProcess()
)

const firstV2 = 0x03030302

// newProcess is a number that tells two processes apart.
func newProcess() uint32 {
	var b [4]byte
	rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint32(b[:])
}

// make fills in a new identifier. The numbers of version 1 have the byte order of the machine, which is taken for
// little-endian; those of version 2 that of the network.
func (s *Settings) make(r *web.Request, x *id) {
	seconds := uint32(r.Now().WallMS / 1000)
	if s.mode == modeV1 {
		order := binary.LittleEndian
		order.PutUint32(x[0:], s.service.number)
		order.PutUint32(x[4:], seconds)
		order.PutUint32(x[8:], process)
		order.PutUint32(x[12:], 1+0x100*(sequenceV1.Add(1)-1))
		return
	}
	order := binary.BigEndian
	switch local := r.Conn.Local.Addr().Unmap(); {
	case s.service.given:
		order.PutUint32(x[0:], s.service.number)
	case local.IsValid():
		address := local.AsSlice()
		copy(x[0:4], address[len(address)-4:])
	}
	order.PutUint32(x[4:], seconds)
	order.PutUint32(x[8:], process)
	const span = (1<<32 - firstV2) / 0x100 // numbers until the sequence begins again
	order.PutUint32(x[12:], firstV2+0x100*((sequenceV2.Add(1)-1)%span))
}

// send adds the cookie.
func (s *Settings) send(r *web.Request) {
	x := s.read(r)
	s.choose(r, x)
	if !x.set.some() {
		return
	}
	b := make([]byte, 0, len(s.name)+len(s.domain)+len(s.path)+len(s.flags)+64)
	b = append(append(b, s.name...), '=')
	if !x.got.some() || x.reset {
		b = base64.StdEncoding.AppendEncode(b, x.set[:])
		if s.mark != 0 {
			b[len(b)-2] = s.mark
		}
	} else {
		b = append(append(b, x.cookie[:idText]...), s.mark, '=')
	}
	switch {
	case s.expires.max:
		b = append(b, "; expires=Thu, 31-Dec-37 23:55:55 GMT"...)
	case s.expires.d > 0:
		b = appendCookieTime(append(b, "; expires="...), time.UnixMilli(r.Now().WallMS).Add(s.expires.d).UTC())
	}
	b = append(append(append(b, s.domain...), s.path...), s.flags...)
	r.AddHeader([]byte("Set-Cookie"), b)
	if s.p3p != "" {
		r.AddHeader([]byte("P3P"), []byte(s.p3p))
	}
}

// appendCookieTime is ngx_http_cookie_time: years have two digits as long as browsers read them as later than 1970.
func appendCookieTime(dst []byte, t time.Time) []byte {
	layout := "Mon, 02-Jan-06 15:04:05 GMT"
	if t.Year() > 2037 {
		layout = "Mon, 02-Jan-2006 15:04:05 GMT"
	}
	return t.AppendFormat(dst, layout)
}

func appendGot(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if r.Beside() {
		x := preparedFor(r)
		return append(dst, x.got...), len(x.got) > 0
	}
	r = r.Outermost() // its cookie counts in subrequests too
	s := conf.SettingsOf[Settings](r.Location.Scope)
	if s.mode == modeOff {
		return dst, false
	}
	x := s.read(r)
	if !x.got.some() {
		return dst, false
	}
	return appendID(dst, s.name, &x.got), true
}

func appendSet(r *web.Request, _ string, dst []byte) ([]byte, bool) {
	if r.Beside() {
		x := preparedFor(r)
		return append(dst, x.set...), len(x.set) > 0
	}
	r = r.Outermost() // its cookie counts in subrequests too
	s := conf.SettingsOf[Settings](r.Location.Scope)
	if s.mode < modeV1 {
		return dst, false
	}
	x := s.read(r)
	s.choose(r, x)
	if !x.set.some() {
		return dst, false
	}
	return appendID(dst, s.name, &x.set), true
}

// appendID writes the four numbers as nginx does on a little-endian machine.
func appendID(dst []byte, name string, x *id) []byte {
	order := binary.LittleEndian
	return fmt.Appendf(dst, "%s=%08X%08X%08X%08X", name,
		order.Uint32(x[0:]), order.Uint32(x[4:]), order.Uint32(x[8:]), order.Uint32(x[12:]))
}
