package kinds

import "starling/zone"

// Families embed a zone in their own type, made for each configuration. The cluster compares identities to see whether
// a reload kept a zone, so it gets the result of Unwrap.

// Unwrap returns the zone itself.
func (b *Bucket) Unwrap() zone.Shared { return b }

// Unwrap returns the zone itself.
func (s *Session) Unwrap() zone.Shared { return s }

// Unwrap returns the zone itself.
func (k *Keyval) Unwrap() zone.Shared { return k }

// Unwrap returns the zone itself.
func (c *Conn) Unwrap() zone.Shared { return c }
