package plan

import "context"

// Continuation defines how a family's zones continue over a reload. V is the type of the family's Zone.Value: a value
// of this configuration, whose memory is that of the previous one, or new.
type Continuation[V any] struct {
	// Refuse returns why this zone cannot replace the one of the running configuration, which makes the reload fail;
	// nil: it always can.
	Refuse func(old V) error
	// Same reports whether the old memory continues unchanged; nil: always.
	Same func(old V) bool
	// Take takes over the old memory.
	Take func(old V)
	// Started is called once the new configuration runs, if the old memory was taken over. It is not called earlier,
	// because the reload may still fail, and the old configuration would keep the settings of the new one. It may be
	// nil.
	Started func()
	// Make makes new memory. old is the previous memory, the zero V if there was none.
	Make func(old V)
	// Carry copies records of the old memory into the new one, and with again those that the last requests of the old
	// configuration wrote; nil: they are dropped.
	Carry func(old V, again bool) error
}

// Continue gives a zone its memory at link time: that of the running configuration's zone of the same name, use and
// size if the family agrees, otherwise new memory that can get its records. continued reports which.
func Continue[V any](p *Plan, z *Zone, c Continuation[V]) (continued bool, err error) {
	var none V
	before := p.oldZone(z)
	if before == nil {
		c.Make(none)
		return false, nil
	}
	old, ok := before.Value.(V)
	if !ok {
		c.Make(none)
		return false, nil
	}
	if c.Refuse != nil {
		if err := c.Refuse(old); err != nil {
			return false, err
		}
	}
	if c.Same == nil || c.Same(old) {
		c.Take(old)
		if c.Started != nil {
			p.OnStart(func(context.Context) error { c.Started(); return nil })
		}
		return true, nil
	}
	c.Make(old)
	if c.Carry != nil {
		p.onCarry(func(again bool) error { return c.Carry(old, again) })
	}
	return false, nil
}

// oldZone returns the running configuration's zone that this one continues: same name, use and size. Else nil.
func (p *Plan) oldZone(z *Zone) *Zone {
	if p.Old == nil {
		return nil
	}
	old := p.Old.Zones.byName[z.Name]
	if old == nil || old.Use != z.Use || old.Bytes != z.Bytes {
		return nil
	}
	return old
}
