package clients

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// datadogPaths are what the NGINX check of the Datadog agent asks for, by the version that brought it, and where it
// puts the answer. The check is Python code that no registry of Go has.
var datadogPaths = []struct {
	since      int
	path, nest string
}{
	{1, "nginx", ""}, {1, "http/requests", "requests"}, {1, "http/server_zones", "server_zones"},
	{1, "http/upstreams", "upstreams"}, {1, "http/caches", "caches"}, {1, "processes", "processes"},
	{1, "connections", "connections"}, {1, "ssl", "ssl"}, {1, "slabs", "slabs"}, {5, "http/location_zones", "location_zones"},
	{5, "resolvers", "resolvers"}, {6, "http/limit_reqs", "limit_reqs"}, {6, "http/limit_conns", "limit_conns"},
	{1, "stream/server_zones", "stream.server_zones"}, {1, "stream/upstreams", "stream.upstreams"},
	{3, "stream/zone_sync", "stream.zone_sync"}, {6, "stream/limit_conns", "stream.limit_conns"},
}

// datadogTags are the keys whose members are tags instead of parts of the metric's name.
var datadogTags = map[string]string{
	"caches": "cache", "codes": "code", "limit_conns": "limit_conn", "limit_reqs": "limit_req", "location_zones": "location_zone",
	"resolvers": "resolver", "server_zones": "server_zone", "slabs": "slab", "slots": "slot", "upstreams": "upstream", "zones": "zone",
}

// flatten makes metrics of an answer as the check does: numbers, booleans and times.
func flatten(name string, value any, into map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			tag, tagged := datadogTags[key]
			members, is := inner.(map[string]any)
			if !tagged || !is {
				flatten(name+"."+key, inner, into)
				continue
			}
			for _, member := range members {
				flatten(name+"."+tag, member, into)
			}
		}
	case []any:
		for _, one := range v {
			flatten(name, one, into)
		}
	case float64, bool:
		into[name] = true
	case string:
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", v); err == nil {
			into[name] = true
		}
	}
}

// datadogMetrics are metrics that its documentation lists, as "prefix names...".
var datadogMetrics = []string{
	"nginx generation load_timestamp timestamp pid ppid", "nginx.requests current total", "nginx.processes respawned",
	"nginx.connections accepted active dropped idle", "nginx.ssl handshakes handshakes_failed session_reuses",
	"nginx.server_zone discarded processing received requests responses.1xx responses.2xx responses.3xx responses.4xx responses.5xx responses.total responses.code sent",
	"nginx.location_zone discarded received requests responses.1xx responses.2xx responses.3xx responses.4xx responses.5xx responses.total responses.code sent",
	"nginx.limit_req passed delayed rejected delayed_dry_run rejected_dry_run", "nginx.limit_conn passed rejected rejected_dry_run",
	"nginx.cache size max_size cold hit.responses hit.bytes stale.responses stale.bytes updating.responses updating.bytes revalidated.responses revalidated.bytes miss.responses miss.bytes miss.responses_written miss.bytes_written expired.responses expired.bytes expired.responses_written expired.bytes_written bypass.responses bypass.bytes bypass.responses_written bypass.bytes_written",
	"nginx.resolver requests.name requests.srv requests.addr responses.noerror responses.formerr responses.servfail responses.nxdomain responses.notimp responses.refused responses.timedout responses.unknown",
	"nginx.slab pages.used pages.free slot.used slot.free slot.reqs slot.fails",
	"nginx.upstream keepalive zombies peers.id peers.backup peers.weight peers.active peers.requests peers.responses.1xx peers.responses.2xx peers.responses.total peers.sent peers.received peers.fails peers.unavail peers.health_checks.checks peers.health_checks.fails peers.health_checks.unhealthy peers.health_checks.last_passed peers.downtime",
	"nginx.stream.server_zone connections discarded processing received sent sessions.2xx sessions.4xx sessions.5xx sessions.total",
	"nginx.stream.upstream zombies peers.id peers.backup peers.weight peers.active peers.connections peers.sent peers.received peers.fails peers.unavail peers.health_checks.checks peers.health_checks.fails peers.health_checks.unhealthy peers.downtime",
	"nginx.stream.zone_sync status.bytes_in status.msgs_in status.msgs_out status.bytes_out status.nodes_online zone.records_total zone.records_pending",
	"nginx.stream.limit_conn passed rejected rejected_dry_run",
}

// TestDatadog makes the calls of the Datadog agent, in its order, with each version of the API.
func TestDatadog(t *testing.T) {
	one, _ := start(t)
	serversOf(t, one)
	base := one.IP + ":8080/api/"
	for version := 1; version <= 9; version++ {
		got := map[string]bool{}
		if _, err := get(fmt.Sprint(base, version)); err != nil { // its service check
			t.Error(err)
		}
		for _, p := range datadogPaths {
			if version < p.since {
				continue
			}
			text, err := get(fmt.Sprint(base, version, "/", p.path))
			if err != nil {
				t.Error(err)
				continue
			}
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Fatalf("%s: %v", p.path, err)
			}
			keys := strings.Split(p.nest, ".")
			slices.Reverse(keys)
			for _, key := range keys {
				if key != "" {
					value = map[string]any{key: value}
				}
			}
			flatten("nginx", value, got)
		}
		if version < 9 {
			continue
		}
		for _, line := range datadogMetrics {
			names := strings.Fields(line)
			for _, name := range names[1:] {
				if full := names[0] + "." + name; !got[full] {
					t.Errorf("no metric %s among %d", full, len(got))
				}
			}
		}
		if t.Failed() {
			t.Log(slices.Sorted(maps.Keys(got)))
		}
	}
}
