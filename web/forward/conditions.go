package forward

import (
	"fmt"

	"starling/conf"
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
)

// parseNext parses the arguments of PREFIX_next_upstream.
func (f *Family) parseNext(a *conf.Args) (c Condition, err error) {
	for _, word := range a.Words {
		bit, known := f.Next[word]
		switch {
		case word == "off":
			bit = never
		case !known:
			return 0, fmt.Errorf("invalid value \"%s\"", word)
		}
		c |= bit
	}
	if c&never != 0 {
		c = never
	}
	return c, nil
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
