package healthcheck

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"slices"
	"strings"

	"starling/conf"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/health"
	"starling/zone"
	"starling/zone/kinds"
)

// sharedZone is the value of the zone in which the nodes of a cluster tell what their checks found. It belongs to one
// configuration; the memory and the wakes outlive a reload.
type sharedZone struct {
	memory *kinds.Health
	wakes  *health.Wakes
	ids    map[[16]byte]bool // of the checks of this configuration
}

// Unwrap returns the zone itself.
func (z *sharedZone) Unwrap() zone.Shared { return z.memory }

// Memory is the use of the zone, for /slabs.
func (z *sharedZone) Memory() plan.Memory {
	stats := z.memory.Stats()
	return plan.Memory{UsedBytes: stats.Bytes, Records: stats.Records, Refused: stats.Refused}
}

// zoneSuffix makes the name of a zone of findings from that of the upstream's zone. No zone of a configuration that is
// written without quotes has such a name.
const zoneSuffix = " health"

// share makes a check of the servers of a group one for which the nodes take turns.
func share(p *plan.Plan, l *Line, side string, g *upstream.Group) (*health.Sharing, error) {
	z, err := shareZone(p, l, g.ZoneName+zoneSuffix, g.ZoneBytes)
	if err != nil {
		return nil, err
	}
	s := &health.Sharing{Zone: z.memory, Wakes: z.wakes, Node: func() string { return p.NodeID }}
	if s.Host, err = os.Hostname(); err != nil {
		s.Host = "" // only the log and the API lack it
	}
	for number := 0; ; number++ { // several checks of an upstream can be written the same, in different locations
		s.ID = identityOf(l, side, g.Name, number)
		if !z.ids[s.ID] {
			z.ids[s.ID] = true
			return s, nil
		}
	}
}

func shareZone(p *plan.Plan, l *Line, name string, bytes int64) (*sharedZone, error) {
	z, err := p.Zones.Declare(name, "health_check", bytes, l.Node.File, l.Node.Line)
	if err != nil {
		return nil, err
	}
	if s, made := z.Value.(*sharedZone); made {
		return s, nil
	}
	s := &sharedZone{ids: map[[16]byte]bool{}}
	z.Sync, z.Value = true, s
	_, err = plan.Continue(p, z, plan.Continuation[*sharedZone]{
		Take:   func(old *sharedZone) { s.memory, s.wakes = old.memory, old.wakes },
		Change: func() { s.memory.SetBytes(bytes) },
		Make: func(*sharedZone) {
			s.wakes = new(health.Wakes)
			s.memory = kinds.NewHealth(kinds.HealthConfig{Name: name, Bytes: bytes, Changed: s.wakes.Wake})
		},
	})
	return s, err
}

// ownParams are parameters that need not be the same on all nodes, or that are compared by their values.
var ownParams = []string{"sync", "mandatory", "persistent", "interval", "jitter", "fails", "passes", "port"}

// identityOf names a check on all nodes: nodes whose checks differ do not take turns.
func identityOf(l *Line, side, group string, number int) (id [16]byte) {
	h, c := sha256.New(), &l.Check
	fmt.Fprintf(h, "%q %q %d\n", side, group, number) // a hash write does not fail
	fmt.Fprintf(h, "%d %d %d %d\n", c.Interval, c.Fails, c.Passes, c.Port)
	words := slices.DeleteFunc(slices.Clone(l.Node.Words), func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return slices.Contains(ownParams, name)
	})
	slices.Sort(words)
	fmt.Fprintf(h, "%q\n", words)
	for _, n := range l.Like {
		addNode(h, n)
	}
	copy(id[:], h.Sum(nil))
	return id
}

func addNode(h hash.Hash, n *conf.Node) {
	fmt.Fprintf(h, "%q %q {\n", n.Name, n.Words)
	for _, inside := range n.Block {
		addNode(h, inside)
	}
	fmt.Fprint(h, "}\n")
}
