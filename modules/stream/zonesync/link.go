package zonesync

import (
	"fmt"
	"strings"

	"starling/conf"
	"starling/lib/plural"
	"starling/logs"
	"starling/plan"
)

// maxNamed is how many zones that nobody shares the operator is told by name.
const maxNamed = 5

// link checks that zones that are shared have a cluster to be shared in. A strict zone needs one. The others work
// alone, and a node may leave its cluster; so the operator is only warned.
func link(p *plan.Plan) error {
	if plan.Part[state](p).declared {
		return nil
	}
	var alone []*plan.Zone
	for _, z := range p.Zones.All() {
		if limited, ok := z.Value.(interface{ Strict() bool }); ok && limited.Strict() {
			return &conf.Problem{
				What: fmt.Sprintf("the strict zone \"%s\" requires a stream server with \"zone_sync\"", z.Name),
				File: z.File, Line: z.Line,
			}
		}
		if z.Sync {
			alone = append(alone, z)
		}
	}
	if len(alone) == 0 {
		return nil
	}
	var names []string
	for _, z := range alone[:min(maxNamed, len(alone))] {
		names = append(names, fmt.Sprintf("\"%s\" in %s:%d", z.Name, z.File, z.Line))
	}
	text := strings.Join(names, ", ")
	if more := len(alone) - len(names); more > 0 {
		text += fmt.Sprintf(" and %s", plural.Of(more, "more zone", "more zones"))
	}
	p.Log.Logf(logs.Warn, "\"sync\" of zones has no effect without a stream server with \"zone_sync\": this node does "+
		"not share %s", text)
	return nil
}
