package remote

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"starling/carrier"
	"starling/cluster"
)

// plain makes a text from elsewhere harmless for a terminal: one that has control characters is quoted.
func plain(text string) string {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}

// memberName is a member's address, or its name if it has none.
func memberName(m carrier.MemberStatus) string { return plain(cmp.Or(m.Address, m.Member)) }

// peerName is a peer's address, or its id if this node does not dial it.
func peerName(p cluster.PeerStatus) string { return plain(cmp.Or(p.Address, p.From, p.NodeID)) }

// size is a number of bytes for people.
func size(bytes int64) string {
	const step = 1024
	value, unit := float64(bytes), 0
	units := []string{"B", "KB", "MB", "GB", "TB"}
	for value >= step && unit < len(units)-1 {
		value /= step
		unit++
	}
	if unit == 0 || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, units[unit])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// milliseconds is a time for people.
func milliseconds(ms int64) string { return strconv.FormatInt(ms, 10) + " ms" }

// offset is a difference of clocks.
func offset(ms int64) string { return fmt.Sprintf("%+d ms", ms) }

// joined lists words, "-" if there are none.
func joined(words []string) string { return cmp.Or(strings.Join(words, ", "), "-") }
