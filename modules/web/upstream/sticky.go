package upstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	stick "starling/upstream/sticky"
	"starling/vars"
	"starling/web"
	"starling/zone/kinds"
)

// sticky is a sticky directive: one of its three kinds.
type sticky struct {
	cookie *cookie
	route  []*vars.Use[*web.Request]
	learn  *learn
}

// cookie is `sticky cookie`.
type cookie struct {
	stick.Cookie
	lookup           *vars.Use[*web.Request]
	domain, sameSite vars.Template[*web.Request]
	slot             *int
	number           int64 // its index among the cookies of the configuration, plus one
}

// learn is `sticky learn`, and the value of its zone.
type learn struct {
	*kinds.Session
	learner        stick.Learn
	create, lookup []*vars.Use[*web.Request]
	expression     string
	timeout        time.Duration
	atHeader, sync bool
	// wait is how long an answer is held back at most until the peers have the session that it tells the client of.
	wait     time.Duration
	asking   stick.Asking
	known    int // slot: see acceptance
	clock    *clock.Clock
	zone     *plan.Zone
	upstream string
	node     *conf.Node
	noRoom   logs.Repeats
}

const sessionsUse = "http sticky"

func setSticky(s *Settings, a *conf.Args) (err error) {
	s.sticky = &sticky{}
	switch a.Words[0] {
	case "cookie":
		s.sticky.cookie, err = readCookie(a)
	case "route":
		s.sticky.route, err = variables(a, a.Words[1:])
	default:
		s.sticky.learn, err = readLearn(a)
	}
	return err
}

func variables(a *conf.Args, words []string) ([]*vars.Use[*web.Request], error) {
	var all []*vars.Use[*web.Request]
	for _, w := range words {
		u, err := web.Side.Variables(side.PlanOf(a)).Variable(w, a.Node)
		if err != nil {
			return nil, fmt.Errorf("invalid variable name \"%s\"", w)
		}
		all = append(all, u)
	}
	return all, nil
}

func readCookie(a *conf.Args) (*cookie, error) {
	c := &cookie{
		Cookie: stick.Cookie{
			Name:     a.Words[1],
			HTTPOnly: a.Has("httponly"),
			Secure:   a.Has("secure"),
			Path:     a.Value("path"),
		},
	}
	if c.Name == "" {
		return nil, conf.Verdict("empty cookie name")
	}
	var err error
	switch expires := a.Value("expires"); {
	case expires == "max":
		c.Expires = stick.ExpiresMax
	case a.Has("expires"):
		if c.Expires, err = units.Seconds(expires); err != nil {
			return nil, conf.Verdict("invalid \"expires\" parameter value")
		}
	}
	for _, name := range []string{"domain", "path"} {
		if a.Has(name) && a.Value(name) == "" {
			return nil, conf.Verdict(fmt.Sprintf("no value for \"%s\"", name))
		}
	}
	if c.domain, err = web.Side.Compile(a, a.Value("domain")); err != nil {
		return nil, err
	}
	if c.sameSite, err = web.Side.Compile(a, a.Value("samesite")); err != nil {
		return nil, err
	}
	if text, literal := c.sameSite.Literal(); a.Has("samesite") && literal && !stick.ValidSameSite(text) {
		return nil, conf.Verdict("invalid \"samesite\" parameter value")
	}
	d := plan.Part[declarations](side.PlanOf(a))
	d.cookies = append(d.cookies, c)
	c.number, c.slot = int64(len(d.cookies)), &d.slot
	c.lookup, err = web.Side.Variables(side.PlanOf(a)).Variable("$cookie_"+c.Name, a.Node)
	return c, err
}

func readLearn(a *conf.Args) (*learn, error) {
	for _, name := range []string{"create", "lookup"} {
		for _, v := range a.Values(name) {
			if !strings.HasPrefix(v, "$") {
				return nil, conf.Verdict(fmt.Sprintf("missing variable in the \"%s\" parameter", name))
			}
		}
	}
	for _, name := range []string{"lookup", "create", "zone"} {
		if !a.Has(name) {
			return nil, conf.Verdict(fmt.Sprintf("\"%s\" parameter is not specified", name))
		}
	}
	l := &learn{
		known:      web.Side.NewSlot(side.PlanOf(a)),
		timeout:    stick.DefaultTimeout,
		atHeader:   a.Has("header"),
		sync:       a.Has("sync"),
		clock:      side.PlanOf(a).Clock,
		upstream:   a.Scope.Words[0],
		node:       a.Node,
		expression: strings.Join(a.Values("create"), ",") + " " + strings.Join(a.Values("lookup"), ","),
	}
	var err error
	if l.create, err = variables(a, a.Values("create")); err != nil {
		return nil, err
	}
	if l.lookup, err = variables(a, a.Values("lookup")); err != nil {
		return nil, err
	}
	if a.Has("timeout") {
		if l.timeout, err = units.Time(a.Value("timeout")); err != nil || l.timeout == 0 {
			return nil, conf.Verdict("invalid timeout")
		}
	}
	if l.sync {
		l.wait = DefaultSync
	}
	if text := a.Value("sync"); text != "" {
		if l.wait, err = units.Time(text); err != nil || l.wait > maxSync {
			return nil, conf.Verdict("invalid sync time")
		}
	}
	return l, l.declareZone(a)
}

const (
	// DefaultSync is `sync` without a time: ten times what idle peers need.
	DefaultSync = 5 * time.Millisecond
	// maxSync bounds how long a peer that has just stopped delays answers.
	maxSync = 10 * time.Second
)

func (l *learn) declareZone(a *conf.Args) error {
	var err error
	if l.zone, err = side.PlanOf(a).DeclareZone(a, sessionsUse); err != nil {
		return zoneVerdict(err)
	}
	if other, taken := l.zone.Value.(*learn); taken {
		return fmt.Errorf("sticky zone \"%s\" is already used in upstream \"%s\"", l.zone.Name, other.upstream)
	}
	l.zone.Value, l.zone.Sync = l, l.sync
	return nil
}

// zoneVerdict is nginx's error for sticky about a wrong zone=.
func zoneVerdict(err error) error {
	var wrong *plan.ZoneError
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.NoSize:
		return conf.Verdict("zone size is not specified")
	case wrong.NoName:
		return conf.Verdict("zone name is not specified")
	case wrong.BadSize:
		return conf.Verdict("invalid zone size")
	}
	return conf.Verdict("zone is too small")
}

// link gives the sessions their memory: that of the running configuration if the name of the zone is the same.
func (l *learn) link(p *plan.Plan) error {
	_, err := plan.Continue(p, l.zone, plan.Continuation[*learn]{
		Refuse: func(old *learn) error {
			if old.upstream == l.upstream {
				return nil
			}
			return fmt.Errorf(
				"sticky zone \"%s\" is used in upstream \"%s\" while previously it was used in upstream \"%s\"",
				l.zone.Name,
				l.upstream,
				old.upstream,
			)
		},
		Take: func(old *learn) { l.Session = old.Session },
		Change: func() {
			l.Reconfigure(kinds.Change{
				Bytes: l.zone.Bytes, Expression: l.expression, Sync: l.sync, TimeoutMS: l.timeout.Milliseconds(),
			}, p.Clock.Now())
		},
		Settle: func() { p.TellDropped(l.zone, l.Settle(p.Clock.Now()), "sessions") },
		Make: func(*learn) {
			l.Session = kinds.NewSession(
				kinds.SessionConfig{Name: l.zone.Name, Expression: l.expression, Bytes: l.zone.Bytes,
					TimeoutMS: l.timeout.Milliseconds(), Sync: l.sync, Clock: p.StampClock()},
			)
		},
	})
	l.learner = stick.Learn{Zone: l.zone.Name, Sessions: l.Session}
	return err
}
