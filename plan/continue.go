package plan

import (
	"reflect"
	"sync"

	"starling/lib/stamp"
	"starling/logs"
)

// Continuation defines how a family's zones continue over a reload. V is the type of the family's Zone.Value: a value
// of this configuration, whose memory is that of the previous one, or new. There is one memory of a name at any time:
// requests of the previous configuration, which can last, use the same one.
type Continuation[V any] struct {
	// Refuse returns why this zone cannot replace the one of the running configuration, which makes the reload fail;
	// nil: it always can.
	Refuse func(old V) error
	// Same reports whether the old memory can continue; nil: always.
	Same func(old V) bool
	// Take takes over the old memory, without a change: the reload may still fail.
	Take func(old V)
	// Change changes the old memory to what this configuration says, before it serves its first client. It may be nil.
	Change func()
	// Settle ends the change, after peers were told of it. It may be nil.
	Settle func()
	// Make makes new memory. old is the previous one if it cannot continue, the zero V if there was none.
	Make func(old V)
}

// Continue gives a zone its memory at link time: that of the running configuration's zone of the same name and use if
// the family agrees, otherwise new memory. continued reports which.
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
	if c.Same != nil && !c.Same(old) {
		c.Make(old)
		return false, nil
	}
	c.Take(old)
	if c.Change != nil {
		p.OnSwitch(c.Change)
	}
	if c.Settle != nil {
		p.onSettle(c.Settle)
	}
	return true, nil
}

// oldZone returns the zone that this one continues, of the same name and use: that of the running configuration, or one
// that only the last requests of an earlier configuration use. Else nil.
func (p *Plan) oldZone(z *Zone) *Zone {
	if p.Old == nil {
		return nil
	}
	old := p.Old.Zones.byName[z.Name]
	if old == nil {
		old = p.process().departed(z.Name)
	}
	if old == nil || old.Use != z.Use || old.Bytes == 0 {
		return nil
	}
	return old
}

// process is what all configurations of a process share.
type process struct {
	stamps  stamp.Clock
	traffic *Traffic
	unsaved Unsaved

	mu sync.Mutex
	// left are zones that the running configuration does not have, while requests of earlier ones still use them.
	left  map[string]*Zone
	parts map[reflect.Type]any
}

// OfProcess returns the one T that all configurations of a process share, made with its zero value at first use. Only
// the goroutine that loads configurations may use it.
func OfProcess[T any](p *Plan) *T {
	s, key := p.process(), reflect.TypeFor[T]()
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.parts[key]; ok {
		return v.(*T)
	}
	v := new(T)
	s.parts[key] = v
	return v
}

// process returns that of the first configuration.
func (p *Plan) process() *process {
	switch {
	case p.shared != nil:
	case p.Old != nil:
		p.shared = p.Old.process()
	default:
		p.shared = &process{traffic: newTraffic(), left: map[string]*Zone{}, parts: map[reflect.Type]any{}}
	}
	return p.shared
}

func (s *process) departed(name string) *Zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left[name]
}

// depart keeps the zones of the previous configuration that this one lacks, for one that has them again. They are
// forgotten when the previous one has served its last request.
func (p *Plan) depart() {
	s := p.process()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range p.Zones.byName {
		delete(s.left, name)
	}
	if p.Old == nil {
		return
	}
	for name, z := range p.Old.Zones.byName {
		if p.Zones.byName[name] == nil {
			s.left[name] = z
		}
	}
	old := p.Old.Zones
	p.Old.OnRetire(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for name, z := range old.byName {
			if s.left[name] == z {
				delete(s.left, name)
			}
		}
	})
}

// TellDropped warns that a zone which a reload has made smaller had no room for all of its records.
func (p *Plan) TellDropped(z *Zone, dropped int, what string) {
	if dropped > 0 {
		p.Log.Logf(logs.Warn, "zone \"%s\" has %d bytes now, too few for all its %s: dropped the %d oldest", z.Name,
			z.Bytes, what, dropped)
	}
}
