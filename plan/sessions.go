package plan

import "starling/ssl"

// SessionCache opens the cache of an ssl_session_cache, nil for none; a reload keeps shared ones.
func (p *Plan) SessionCache(words ssl.CacheWords) (*ssl.SessionCache, error) {
	return Part[ssl.SessionCaches](p).Open(words, Before[ssl.SessionCaches](p))
}

// TicketKeys are the keys of tickets of servers that share no cache; a reload keeps them.
func (p *Plan) TicketKeys() *ssl.TicketKeys {
	return Part[ssl.SessionCaches](p).Keys(Before[ssl.SessionCaches](p))
}
