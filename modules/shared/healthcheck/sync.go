package healthcheck

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"starling/conf"
	"starling/plan"
	"starling/upstream"
	"starling/upstream/health"
	"starling/upstream/health/turns"
	"starling/zone"
	"starling/zone/kinds"
)

// sharedZone is the value of the zone in which the nodes of a cluster tell what their checks found. It belongs to one
// configuration; the memory and the wakes outlive a reload.
type sharedZone struct {
	memory *kinds.Health
	wakes  *health.Wakes
	ids    map[turns.ID]bool // of the checks of this configuration
	counts map[turns.ID]int  // of its checks by roster
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
	roster := rosterOf(side, g.Name)
	s := &health.Sharing{
		Zone: z.memory, Wakes: z.wakes, Node: func() string { return p.NodeID }, Terms: l.Terms,
		At: fmt.Sprintf("%s:%d", l.Node.File, l.Node.Line), Roster: roster, Place: z.counts[roster],
	}
	z.counts[roster]++
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
	s := &sharedZone{ids: map[turns.ID]bool{}, counts: map[turns.ID]int{}}
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

// identityOf names a check on all nodes: nodes whose checks differ do not take turns.
func identityOf(l *Line, side, group string, number int) (id turns.ID) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d\n", side, group, number) // a hash write does not fail
	terms := slices.SortedFunc(slices.Values(l.Terms), func(a, b turns.Term) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range terms {
		fmt.Fprintf(h, "%q %q\n", t.Name, t.Value)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// rosterOf is where nodes tell which checks of a group they have, however these differ.
func rosterOf(side, group string) (id turns.ID) {
	hash := sha256.Sum256(fmt.Appendf(nil, "checks of %q %q\n", side, group))
	copy(id[:], hash[:])
	return id
}

// textOf writes directives on one line.
func textOf(block []*conf.Node) string {
	var parts []string
	for _, n := range block {
		words := []string{n.Name}
		for _, word := range n.Words {
			if strings.ContainsAny(word, " \t\r\n;{}\"'") || word == "" {
				word = strconv.Quote(word)
			}
			words = append(words, word)
		}
		parts = append(parts, strings.Join(words, " ")+";")
	}
	return "{ " + strings.Join(parts, " ") + " }"
}
