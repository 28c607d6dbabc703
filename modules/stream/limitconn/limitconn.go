package limitconn

import (
	"starling/conf"
	"starling/lib/conncount"
	"starling/lib/longkey"
	"starling/modules/shared/limitconn"
	"starling/stream"
)

// limiter applies the limits of one server.
type limiter struct {
	limits   []limitconn.Bound[*stream.Session]
	settings *limitconn.Settings
	slot     int
}

func build(b *stream.Block) (stream.Handler, error) {
	s := conf.SettingsOf[limitconn.Settings](b.Scope)
	if len(s.Limits) == 0 {
		return nil, nil
	}
	l := &limiter{
		settings: s,
		slot:     limitconn.Slot[*stream.Session](b.Plan),
		limits:   limitconn.Bind[*stream.Session](s.Limits),
	}
	return l.handle, nil
}

// appendStatus is $limit_conn_status.
func appendStatus(s *stream.Session, _ string, dst []byte) ([]byte, bool) {
	outcome := s.Slot(limitconn.Slot[*stream.Session](s.Plan()))
	return append(dst, outcome.Value...), outcome.Set
}

// handle counts the session in every zone from here to its end, or rejects it and counts it in none.
func (l *limiter) handle(s *stream.Session) stream.Result {
	type held struct {
		zone  *limitconn.Counter
		leave func()
	}
	var entered []held
	for _, limit := range l.limits {
		z := limit.Zone
		key := z.Key.Append(nil, s)
		if len(key) == 0 {
			continue
		}
		key = longkey.Fit(key, conncount.MaxKeyBytes) // nginx accepts a key that is too long
		s.SetSlot(l.slot, []byte("PASSED"))
		leave, verdict, why := enter(s, z.Counter, key, limit.Most)
		if verdict == conncount.Entered {
			entered = append(entered, held{z.Counter, leave})
			continue
		}
		for _, h := range entered {
			h.leave()
		}
		return l.reject(s, z, verdict, why)
	}
	for _, h := range entered {
		h.zone.Counts.Passed.Add(1)
		s.AtEnd(h.leave)
	}
	return stream.Declined
}

// enter counts a session in one zone. why says why a strict zone rejects it.
func enter(
	s *stream.Session,
	c *limitconn.Counter,
	key []byte,
	most uint32,
) (leave func(), verdict conncount.Verdict, why string) {
	if c.IsStrict() {
		in, verdict, why := c.EnterStrict(key, most, s.Enclose().Fall)
		return func() { in.Leave() }, verdict, why
	}
	ticket, verdict := c.Enter(key, most)
	return func() { c.Leave(ticket) }, verdict, ""
}

// reject ends a session that exceeds a limit or finds the zone full; nginx does not log the latter.
func (l *limiter) reject(
	s *stream.Session,
	z *limitconn.Zone[*stream.Session],
	verdict conncount.Verdict,
	why string,
) stream.Result {
	if verdict == conncount.Rejected {
		dryRun := ""
		if l.settings.DryRun {
			dryRun = ", dry run,"
		}
		if why != "" {
			s.Logf(l.settings.LogLevel, "limiting connections%s by strict zone \"%s\": %s", dryRun, z.Name, why)
		} else {
			s.Logf(l.settings.LogLevel, "limiting connections%s by zone \"%s\"", dryRun, z.Name)
		}
	}
	if l.settings.DryRun {
		s.SetSlot(l.slot, []byte("REJECTED_DRY_RUN"))
		z.Counts.RejectedDryRun.Add(1)
		return stream.Declined
	}
	s.SetSlot(l.slot, []byte("REJECTED"))
	z.Counts.Rejected.Add(1)
	return stream.StatusServiceUnavailable
}
