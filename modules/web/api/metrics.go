package api

import (
	"math"
	"slices"
	"strings"

	"starling/admin"
)

var (
	nginxMetrics = []admin.Metric{
		admin.Gauge("nginxplus_up", "[]", "Always 1: the page itself is the answer."),
		admin.Gauge(
			"starling_build_info",
			"[version=version,build=build]",
			"Always 1; the labels contain the compatible nginx version and the build.",
		),
		admin.Counter("starling_reloads_total", "generation", "Reloads that took effect since the process started.").
			Minus(1),
	}
	connectionMetrics = []admin.Metric{
		admin.Counter(
			"nginxplus_connections_accepted",
			"accepted",
			"Client connections accepted, http and stream together.",
		),
		admin.Counter("nginxplus_connections_dropped", "dropped", "Client connections that could not be accepted."),
		admin.Gauge("nginxplus_connections_active", "active", "Client connections with a request in flight."),
		admin.Gauge("nginxplus_connections_idle", "idle", "Idle client connections."),
	}
	requestMetrics = []admin.Metric{
		admin.Counter("nginxplus_http_requests_total", "total", "Requests received."),
		admin.Gauge("nginxplus_http_requests_current", "current", "Requests in flight."),
	}
	slabMetrics = []admin.Metric{
		admin.Gauge("starling_zone_used_bytes", "*zone.pages.used", "Memory used by a zone.").By(pageBytes),
		admin.Gauge("starling_zone_free_bytes", "*zone.pages.free", "Free memory of a zone.").By(pageBytes),
	}
)

// licenseMetrics say that no license is needed: it expires never, which alerts on it understand.
var licenseMetrics = []admin.Metric{
	admin.Gauge(
		"nginxplus_license_expiration_timestamp_seconds", "active_till", "Always infinite: no license is needed.",
	).Minus(-1).By(math.Inf(1)),
	admin.Gauge("nginxplus_license_reporting_healthy", "reporting.healthy", "Always 1: nothing is reported to anyone."),
	admin.Gauge("nginxplus_license_reporting_fails_count", "reporting.fails", "Always 0."),
	admin.Gauge("nginxplus_license_reporting_grace_period_seconds", "reporting.grace", "Always 0."),
}

// workerMetrics are the figures of the process by the names of a worker.
func workerMetrics() []admin.Metric {
	const at = "[id=id,pid=pid]."
	list := []admin.Metric{}
	for _, m := range slices.Concat(connectionMetrics, requestMetrics) {
		name := strings.TrimPrefix(m.Name, "nginxplus_")
		if of, isConnection := strings.CutPrefix(name, "connections_"); isConnection {
			m.Name, m.At = "nginxplus_worker_connection_"+of, at+"connections."+m.At
		} else {
			m.Name, m.At = "nginxplus_worker_"+name, at+"http.requests."+m.At
		}
		list = append(list, m)
	}
	return list
}

// usageMetrics have the names of the collectors of client_golang.
func usageMetrics() []admin.Metric {
	return []admin.Metric{
		admin.Counter("process_cpu_seconds_total", "cpu_seconds", "User and system CPU time of the process."),
		admin.Gauge("process_resident_memory_bytes", "resident_memory_bytes", "Memory of the process."),
		admin.Gauge("process_virtual_memory_bytes", "virtual_memory_bytes", "Address space of the process."),
		admin.Gauge("process_open_fds", "open_files", "Open file descriptors."),
		admin.Gauge("process_max_fds", "max_files", "Limit of open file descriptors."),
		admin.Gauge("process_start_time_seconds", "start_time_seconds", "When the process started, in Unix time."),
		admin.Gauge("go_info", "[version=go_version]", "Always 1; the label has the version of Go."),
		admin.Gauge("go_goroutines", "goroutines", "Goroutines."),
		admin.Gauge("go_threads", "threads", "Threads of the system that were created."),
		admin.Gauge("go_sched_gomaxprocs_threads", "max_cores", "Cores that can be used at once."),
		admin.Gauge("go_memstats_alloc_bytes", "heap_bytes", "Memory that is in use, or not yet collected."),
		admin.Gauge("go_memstats_sys_bytes", "go_memory_bytes", "Memory that Go has from the system."),
		admin.Gauge("go_memstats_next_gc_bytes", "next_collection_bytes", "Heap at which the next collection begins."),
	}
}

// tlsMetrics are the handshakes of the process.
func tlsMetrics() []admin.Metric {
	count := func(name, at, help string) admin.Metric {
		return admin.Counter("starling_tls_"+name+"_total", at, "TLS handshakes that failed "+help)
	}
	return append(
		admin.TLSMetrics("nginxplus_", "", "with clients and servers"),
		count("no_common_protocol", "no_common_protocol", "because no protocol version was common."),
		count("no_common_cipher", "no_common_cipher", "because no cipher was common."),
		count("handshake_timeout", "handshake_timeout", "because of a timeout."),
		count("peer_rejected_certificate", "peer_rejected_cert", "because the peer rejected the certificate."),
		admin.Counter("starling_tls_verify_failures_total", "verify_failures.*reason",
			"Certificates of clients and servers that did not verify, by reason."),
	)
}
