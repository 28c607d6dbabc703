package kinds

import "starling/zone"

// Families embed a zone in a type of their own, made anew with each configuration. The cluster tells by identity
// whether a reload kept a zone, so it is given what Unwrap returns.

// Unwrap returns the zone itself.
func (b *Bucket) Unwrap() zone.Shared { return b }

// Unwrap returns the zone itself.
func (s *Session) Unwrap() zone.Shared { return s }

// Unwrap returns the zone itself.
func (k *Keyval) Unwrap() zone.Shared { return k }
