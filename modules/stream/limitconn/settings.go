package limitconn

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/conncount"
	"starling/lib/units"
	"starling/observe"
	"starling/plan"
	"starling/stream"
	"starling/vars"
)

// Settings of one block.
type Settings struct {
	Limits   []Limit
	LogLevel observe.Level
	DryRun   bool
}

// Limit is one limit_conn.
type Limit struct {
	zone *plan.Zone
	most uint32
}

// maxConnections is nginx's: it counts in two bytes.
const maxConnections = 65535

// use is the family's name among the zones; http's of the same name are others.
const use = "stream limit_conn"

// zone is one limit_conn_zone of a running configuration.
type zone struct {
	*conncount.Zone
	name string
	key  vars.Template[*stream.Session]
}

// registry is what one configuration declares.
type registry struct {
	zones []*plan.Zone
	nodes []*conf.Node
	slot  int // where a session keeps its outcome
}

func declareZone(_ any, a *conf.Args) error {
	p := stream.PlanOf(a)
	key, err := stream.CompileTemplate(a, a.Words[0])
	if err != nil {
		return err
	}
	name, sizeText, found := strings.Cut(a.Value("zone"), ":")
	size, err := units.Size(sizeText)
	switch {
	case !found || err != nil:
		return fmt.Errorf("invalid zone size \"zone=%s\"", a.Value("zone"))
	case size < plan.MinZoneBytes:
		return fmt.Errorf("zone \"zone=%s\" is too small", a.Value("zone"))
	case name == "":
		return fmt.Errorf("\"limit_conn_zone\" must have \"zone\" parameter")
	}
	z, err := p.Zones.Declare(name, use, size, a.Node.File, a.Node.Line)
	if err != nil {
		return err
	}
	if before, bound := z.Value.(*zone); bound {
		return fmt.Errorf("limit_conn_zone \"%s\" is already bound to key \"%s\"", name, before.key.Text())
	}
	z.Value = &zone{name: name, key: key}
	r := plan.Part[registry](p)
	r.zones, r.nodes = append(r.zones, z), append(r.nodes, a.Node)
	return nil
}

func parseLimit(a *conf.Args) (Limit, error) {
	z, err := stream.PlanOf(a).Zones.Mention(a.Words[0], use, a.Node.File, a.Node.Line)
	if err != nil {
		return Limit{}, err
	}
	if !a.First {
		for _, other := range conf.SettingsOf[Settings](a.Scope).Limits {
			if other.zone == z {
				return Limit{}, conf.IsDuplicate
			}
		}
	}
	n, err := units.Number(a.Words[1])
	if err != nil || n <= 0 {
		return Limit{}, fmt.Errorf("invalid number of connections \"%s\"", a.Words[1])
	}
	if n > maxConnections {
		return Limit{}, fmt.Errorf("connection limit must be less 65536")
	}
	return Limit{zone: z, most: uint32(n)}, nil
}

// link gives the zones their counts: those of the configuration before where name, size and key are the same, for its
// sessions go on.
func link(p *plan.Plan) error {
	r := plan.Part[registry](p)
	r.slot = stream.NewSlot(p)
	var problems conf.Problems
	for i, z := range r.zones {
		now := z.Value.(*zone)
		old := p.OldZone(z)
		if old == nil {
			now.Zone = conncount.New(z.Bytes)
			continue
		}
		before := old.Value.(*zone)
		if before.key.Text() != now.key.Text() {
			problems = append(problems, conf.At(r.nodes[i], "limit_conn_zone \"%s\" uses the \"%s\" key while previously it used the \"%s\" key",
				z.Name, now.key.Text(), before.key.Text()))
		}
		now.Zone = before.Zone
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
