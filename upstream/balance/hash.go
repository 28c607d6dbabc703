package balance

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strconv"
	"strings"

	"starling/upstream"
)

var hash = Method{
	Name: "hash", Syntax: "<key> [consistent]", Keyed: true, NoBackup: true,
	Params: map[string]string{"consistent": "Uses ketama hashing, which moves few keys when the group changes."},
	Doc: "Selects the server by the hash of a key; with `consistent` (ketama), few keys move when servers are " +
		"added or removed.",
	New: func(args []string) (upstream.Balancer, error) {
		switch {
		case len(args) == 1:
			return hashBalancer{}, nil
		case len(args) == 2 && args[1] == "consistent":
			return &consistentHash{}, nil
		case len(args) == 2:
			return nil, fmt.Errorf("invalid parameter %q", args[1])
		}
		return nil, fmt.Errorf("invalid number of arguments in %q directive", "hash")
	},
}

// hashBalancer is compatible with Perl's Cache::Memcached: ((crc32([ROUND] KEY) >> 16) & 0x7fff) + the previous hash,
// without ROUND for the first one.
type hashBalancer struct{}

func (hashBalancer) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	probe := &a.Probe
	if probe.Misses > maxMisses || len(set.Servers()) < 2 || len(a.Key) == 0 {
		return RoundRobin{}.Choose(set, a, wanted)
	}
	if wanted != nil {
		return wanted
	}
	for {
		sum := uint32(0)
		if probe.Rounds > 0 {
			sum = crc32.Update(sum, crc32.IEEETable, strconv.AppendInt(probe.Scratch[:0], int64(probe.Rounds), 10))
		}
		sum = crc32.Update(sum, crc32.IEEETable, a.Key)
		probe.Hash += sum >> 16 & 0x7fff
		probe.Rounds++
		if s := byWeight(set, probe.Hash); a.Usable(s) && s.Takes(a, mixed(sum)) {
			return s
		}
		if probe.Misses++; probe.Misses > maxMisses {
			return RoundRobin{}.Choose(set, a, nil)
		}
	}
}

// pointsPerWeight is the number of points of each unit of weight on the circle, as in nginx and Cache::Memcached::Fast.
const pointsPerWeight = 160

// consistentHash is ketama, compatible with Cache::Memcached::Fast: points crc32(HOST \0 PORT PREVIOUS).
type consistentHash struct {
	version uint64
	points  []point
	names   []string
}

// point is a position on the circle and the index of its server's name: all addresses of a name share its points.
type point struct{ hash, name uint32 }

// maxPoints bounds a circle (128 MB) whatever the weights; larger circles are scaled down.
const maxPoints = 1 << 24

func (c *consistentHash) Choose(set *upstream.Set, a *upstream.Attempt, wanted *upstream.Server) *upstream.Server {
	probe := &a.Probe
	if probe.Misses > maxMisses || len(a.Key) == 0 {
		return RoundRobin{}.Choose(set, a, wanted)
	}
	if len(set.Servers()) == 0 {
		return nil
	}
	if c.version != set.Version() {
		c.rebuild(set)
		// The number of a point is meaningless on another circle.
		probe.Ready = false
	}
	if wanted != nil {
		return wanted
	}
	if !probe.Ready {
		probe.Ready, probe.Hash = true, c.find(crc32.ChecksumIEEE(a.Key))
	}
	for {
		at := c.points[int(probe.Hash)%len(c.points)]
		name := c.names[at.name]
		var round upstream.Smooth
		for _, s := range set.Servers() {
			if s.Name == name && a.Usable(s) && s.Takes(a, mixed(at.hash)) {
				round.Offer(a, s)
			}
		}
		if s := round.Take(nil); s != nil {
			return s
		}
		probe.Hash++
		if probe.Misses++; probe.Misses > maxMisses {
			return RoundRobin{}.Choose(set, a, nil)
		}
	}
}

// mixed spreads a hash over 32 bits, independently of the server that it selects (Knuth's multiplicative hashing).
func mixed(hash uint32) uint32 { return hash * 2654435769 }

// find returns the number of the first point at or after a hash; one past the last means the first.
func (c *consistentHash) find(hash uint32) uint32 {
	return uint32(sort.Search(len(c.points), func(i int) bool { return c.points[i].hash >= hash }))
}

// rebuild makes the circle of a set. Of several points with one hash, the first server's stays.
func (c *consistentHash) rebuild(set *upstream.Set) {
	c.version = set.Version()
	all := min(set.TotalWeight()*pointsPerWeight, maxPoints)
	c.points, c.names = make([]point, 0, all), c.names[:0]
	for i, s := range set.Servers() {
		c.names = append(c.names, s.Name)
		host, port := hashedName(s.Name)
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		var previous [4]byte
		for range max(s.Weight()*all/set.TotalWeight(), 1) {
			h := crc32.Update(base, crc32.IEEETable, previous[:])
			c.points = append(c.points, point{h, uint32(i)})
			binary.LittleEndian.PutUint32(previous[:], h)
		}
	}
	slices.SortStableFunc(c.points, func(x, y point) int {
		switch {
		case x.hash < y.hash:
			return -1
		case x.hash > y.hash:
			return 1
		}
		return 0
	})
	c.points = slices.CompactFunc(c.points, func(x, y point) bool { return x.hash == y.hash })
}

// hashedName splits a server's name as written into the hashed host and port. Unlike in a socket address, a name
// without a port has none, and the port is split off only if it is all digits.
func hashedName(name string) (host, port string) {
	if len(name) >= 5 && strings.EqualFold(name[:5], "unix:") {
		return name[5:], ""
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < 0 || strings.Trim(name[colon+1:], "0123456789") != "" {
		return name, ""
	}
	return name[:colon], name[colon+1:]
}
