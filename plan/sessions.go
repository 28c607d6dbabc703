package plan

import "starling/ssl"

// SessionCache opens the cache of an ssl_session_cache, nil for none; a reload keeps shared ones.
func (p *Plan) SessionCache(words ssl.CacheWords) (*ssl.SessionCache, error) {
	return Part[ssl.SessionCaches](p).Open(words, Before[ssl.SessionCaches](p))
}
