package upstream

import (
	"fmt"
	"time"

	"starling/conf"
	"starling/modules/shared/upstream"
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
	sticky       *sticky
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
