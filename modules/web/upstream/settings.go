package upstream

import (
	"fmt"
	"math"
	"time"

	"starling/conf"
	"starling/modules/shared/upstream"
	"starling/nginx/units"
	"starling/web"
)

// Settings of one upstream block.
type Settings struct {
	upstream.Block[*web.Request]
	keep         *int
	keepLocal    bool
	keepRequests *int
	keepTime     *time.Duration
	keepTimeout  *time.Duration
	ntlm         bool
	queue        *queue
	sticky       *sticky
}

// queue is the queue directive.
type queue struct {
	most    int
	timeout time.Duration
}

// defaultQueueTimeout is that of NGINX Plus.
const defaultQueueTimeout = time.Minute

func setQueue(s *Settings, a *conf.Args) (err error) {
	q := &queue{timeout: defaultQueueTimeout}
	if q.most, err = conf.Int(1, math.MaxInt32)(a.Words[0]); err != nil {
		return fmt.Errorf("invalid value \"%s\" in \"queue\" directive", a.Words[0])
	}
	if a.Has("timeout") {
		if q.timeout, err = units.Time(a.Value("timeout")); err != nil || q.timeout == 0 {
			return fmt.Errorf("invalid parameter \"timeout=%s\"", a.Value("timeout"))
		}
	}
	s.queue = q
	return nil
}

// declarations are what the upstream blocks of a configuration share.
type declarations struct {
	// cookies are the sticky cookies, for the filter, and slot is where a request stores the server it was sent to.
	cookies []*cookie
	slot    int
}

func setKeepAlive(s *Settings, a *conf.Args) error {
	n, err := conf.Number(a.Words[0])
	if err != nil {
		return fmt.Errorf("invalid value \"%s\" in \"keepalive\" directive", a.Words[0])
	}
	s.keep, s.keepLocal = &n, a.Has("local")
	return nil
}
