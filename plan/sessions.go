package plan

import (
	"context"

	"starling/logs"
	"starling/ssl"
	"starling/ssl/ocsp"
)

// SessionCache opens the cache of an ssl_session_cache, nil for none; a reload keeps shared ones.
func (p *Plan) SessionCache(words ssl.CacheWords) (*ssl.SessionCache, error) {
	return Part[ssl.SessionCaches](p).Open(words, Before[ssl.SessionCaches](p))
}

// TicketKeys are the keys of tickets of servers that share no cache; a reload keeps them.
func (p *Plan) TicketKeys() *ssl.TicketKeys {
	return Part[ssl.SessionCaches](p).Keys(Before[ssl.SessionCaches](p))
}

// ShareTLS sets what the TLS of a server shares with other servers of the configuration and of the last one, and how it
// reaches OCSP responders.
func (p *Plan) ShareTLS(s *ssl.ServerSettings, caches ssl.Caches, names ResolverSettings) (err error) {
	s.Keys = p.TicketKeys()
	if s.Sessions, err = p.SessionCache(caches.SessionCache); err != nil {
		return err
	}
	s.Statuses, err = Part[ssl.StatusCaches](p).Open(caches.StatusCache, Before[ssl.StatusCaches](p))
	if err != nil {
		return err
	}
	s.Staples, s.OldStaples = Part[ssl.Staples](p), Before[ssl.Staples](p)
	s.Asker = &ocsp.Asker{Lookup: ocsp.SystemLookup}
	if s.Stapling.On || s.StatusChecks != ssl.StatusOff {
		if s.Asker.Resolver, err = p.Resolver(names); err != nil {
			return err
		}
	}
	s.LogError = func(format string, args ...any) { p.Log.Logf(logs.Error, format, args...) }
	return nil
}

// FetchStaples fetches the staples of a server when the configuration starts.
func (p *Plan) FetchStaples(s *ssl.Server) {
	p.OnStart(func(context.Context) error {
		s.Fetch()
		return nil
	})
}
