package clients

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/inputs/nginx_plus_api"
)

// gathered is an accumulator of Telegraf that keeps the fields of each measurement.
type gathered struct {
	telegraf.Accumulator // the plugin calls nothing else
	t                    *testing.T
	mu                   sync.Mutex
	fields               map[string]map[string]any
	tags                 map[string][]string
}

func (g *gathered) AddFields(measurement string, fields map[string]any, tags map[string]string, _ ...time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fields[measurement] == nil {
		g.fields[measurement] = map[string]any{}
	}
	maps.Copy(g.fields[measurement], fields)
	g.tags[measurement] = append(g.tags[measurement], fmt.Sprint(tags))
}

func (g *gathered) AddError(err error) {
	if err != nil {
		g.t.Error(err)
	}
}

// TestTelegraf runs Telegraf's own input: it reads every branch that its documentation has measurements for.
func TestTelegraf(t *testing.T) {
	one, _ := start(t)
	serversOf(t, one)
	for version := int64(3); version <= 9; version++ {
		g := &gathered{t: t, fields: map[string]map[string]any{}, tags: map[string][]string{}}
		input := &nginx_plus_api.NginxPlusAPI{Urls: []string{"http://" + one.IP + ":8080/api"}, APIVersion: version}
		if err := input.Gather(g); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{ // fields of each measurement
			"processes": 1, "connections": 4, "slabs_pages": 2, "slabs_slots": 4, "ssl": 3, "http_requests": 2,
			"http_server_zones": 11, "http_upstreams": 2, "http_upstream_peers": 20, "stream_server_zones": 4,
			"stream_upstreams": 1, "stream_upstream_peers": 14, "http_caches": 23,
		}
		if version >= 5 {
			want["http_location_zones"], want["resolver_zones"] = 10, 11
		}
		if version >= 6 {
			want["http_limit_reqs"] = 5
		}
		for name, fields := range want {
			if got := g.fields["nginx_plus_api_"+name]; len(got) < fields {
				t.Errorf("version %d: %s has %d fields, want %d: %v", version, name, len(got), fields, got)
			}
		}
		if names := slices.Collect(maps.Keys(g.fields)); len(names) != len(want) {
			t.Errorf("version %d: %d measurements, want %d: %v", version, len(names), len(want), names)
		}
		if zones := strings.Join(g.tags["nginx_plus_api_http_server_zones"], " "); !strings.Contains(zones, "zone:test") {
			t.Errorf("version %d: the server zones are %s", version, zones)
		}
		if state := g.fields["nginx_plus_api_stream_upstream_peers"]["state"]; state != "up" && state != "unhealthy" {
			t.Errorf("version %d: a server is %v", version, state)
		}
	}
}
