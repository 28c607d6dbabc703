package pods

import (
	"fmt"
	"net/http"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	core "k8s.io/api/core/v1"

	"starling/deploy/test/chart"
)

// metricsAreServed where the ServiceMonitor has Prometheus scrape them. cycle tests the board and the rules.
func (c *cluster) metricsAreServed() {
	c.t.Helper()
	monitor := chart.Of[*monitoring.ServiceMonitor](c.objects)
	if len(monitor) != 1 {
		c.t.Fatalf("%d ServiceMonitors", len(monitor))
	}
	endpoint := monitor[0].Spec.Endpoints[0]
	port := int32(0)
	for _, p := range chart.Named[*core.Service](c.t, c.objects, "starling-peers").Spec.Ports {
		if p.Name == endpoint.Port {
			port = p.Port
		}
	}
	for _, p := range c.all() {
		r, err := from(c.kubelet, http.MethodGet, fmt.Sprintf("http://%s:%d%s", p.ip, port, endpoint.Path), "")
		if err != nil || r.status != http.StatusOK || !strings.Contains(r.body, "\nstarling_ready 1\n") {
			c.t.Errorf("%s: status %d, %v: %.200s", p.name, r.status, err, r.body)
		}
	}
}
