package proxy

import (
	"math"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/side"
	"starling/stream"
	"starling/upstream/connect"
	"starling/upstream/groups"
	"starling/vars"
)

type (
	template = vars.Template[*stream.Session]
	group    = groups.Group[*stream.Session]
)

// Settings of one block.
type Settings struct {
	target      *target
	timeout     time.Duration // a session ends if nothing moves for so long
	bufferBytes int64

	uploadRate, downloadRate *template // bytes per second; nil or 0: no limit
	requests, responses      int       // datagrams that make a session; see unlimited

	next        bool
	nextTries   int // 0: no limit
	nextTimeout time.Duration

	header    headerVersion
	halfClose bool

	connections connect.Settings[*stream.Session]
	alpn        []template
}

// unlimited responses: a UDP session then ends by its timeout.
const unlimited = math.MaxInt32

// Bounds of proxy_buffer_size: each session has two of them.
const (
	minBufferBytes = 1
	maxBufferBytes = 16 << 20
)

// target is where proxy_pass sends sessions: a group, or an address with variables that selects one.
type target struct {
	group     *group
	bySession *template
}

// headerVersion is the version of the PROXY header that a server gets.
type headerVersion int

const (
	noHeader headerVersion = iota
	textHeader
	binaryHeader
)

var headerVersions = map[string]headerVersion{"off": noHeader, "on": textHeader, "v2": binaryHeader}

func setPass(s *Settings, a *conf.Args) error {
	p := side.PlanOf(a)
	compiled, err := stream.Side.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	if _, literal := compiled.Literal(); !literal {
		s.target = &target{bySession: &compiled}
		return nil
	}
	t, err := groups.ParseTarget(a.Words[0], 0, false)
	if err != nil {
		return err
	}
	known := groups.Of[*stream.Session](p)
	if t.NoPort && !t.Unix && known.Find(&t) == nil {
		return &groups.TargetError{What: "no port", Text: t.Host}
	}
	g, err := known.Refer(t, a.Node, p.Clock.Now())
	s.target = &target{group: g}
	return err
}

func setRate(place func(*Settings) **template) conf.Setter {
	return conf.Raw(func(s *Settings, a *conf.Args) error {
		t, err := stream.Side.Compile(a, a.Words[0])
		if text, literal := t.Literal(); err == nil && literal {
			_, err = conf.Size(text)
		}
		*place(s) = &t
		return err
	})
}

// rate is a rate for one session in bytes per second; a value that is not a size means no limit, as in nginx.
func rate(t *template, s *stream.Session) int64 {
	if t == nil {
		return 0
	}
	n, err := units.Size(string(t.Append(nil, s)))
	if err != nil {
		return 0
	}
	return n
}

// maxALPNBytes is the limit of the protocol.
const maxALPNBytes = 255

func parseALPN(a *conf.Args) ([]template, error) {
	var all []template
	for _, word := range a.Words {
		t, err := stream.Side.Compile(a, word)
		if err != nil {
			return nil, err
		}
		if text, literal := t.Literal(); literal && len(text) > maxALPNBytes {
			return nil, conf.Verdict("protocol too long")
		}
		all = append(all, t)
	}
	return all, nil
}
