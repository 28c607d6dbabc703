package forward

import (
	"fmt"
	"strings"
)

// Condition is a set of conditions for retrying on the next server.
type Condition uint16

// The conditions that families have words for.
const (
	OnError Condition = 1 << iota
	OnTimeout
	OnInvalid // a response that violates the protocol
	NonIdempotent
	On500
	On502
	On503
	On504
	On403
	On404
	On429
	never
	onUpdating // of PREFIX_cache_use_stale only
)

// addNext adds a word of PREFIX_next_upstream.
func addNext(f *Family, c *Condition, word string) error {
	bit, known := f.Next[strings.ToLower(word)]
	switch {
	case strings.EqualFold(word, "off"):
		bit = never
	case !known:
		return fmt.Errorf("invalid value \"%s\"", word)
	}
	if *c |= bit; *c&never != 0 {
		*c = never
	}
	return nil
}

// addStale adds a word of PREFIX_cache_use_stale.
func addStale(f *Family, c *Condition, word string) error {
	if !strings.EqualFold(word, "updating") {
		return addNext(f, c, word)
	}
	if *c |= onUpdating; *c&never != 0 {
		*c = never
	}
	return nil
}

// conditionOf is the condition for a server's status, 0 for the others.
func conditionOf(status int) Condition {
	switch status {
	case 500:
		return On500
	case 502:
		return On502
	case 503:
		return On503
	case 504:
		return On504
	case 403:
		return On403
	case 404:
		return On404
	case 429:
		return On429
	}
	return 0
}
