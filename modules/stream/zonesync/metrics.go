package zonesync

import (
	"slices"

	"starling/admin"
)

// metrics are what `cluster` of the API tells, as Prometheus is shown it. The first ones are those of NGINX Plus's exporter.
func metrics() []admin.Metric {
	const status, zone = "nginxplus_stream_zone_sync_status_", "nginxplus_stream_zone_sync_zone_"
	exporter := []admin.Metric{
		admin.Counter(status+"bytes_in", "status.bytes_in", "Bytes received from peers, heartbeats included."),
		admin.Counter(status+"bytes_out", "status.bytes_out", "Bytes sent to peers, heartbeats included."),
		admin.Counter(status+"msgs_in", "status.msgs_in", "Frames received from peers, heartbeats included."),
		admin.Counter(status+"msgs_out", "status.msgs_out", "Frames sent to peers, heartbeats included."),
		admin.Gauge(status+"nodes_online", "status.nodes_online", "Peers that this node is connected to, itself not counted."),
		admin.Gauge(zone+"records_pending", "zones.*zone.records_pending", "Records that at least one listed member lacks, as far as is known."),
		admin.Gauge(zone+"records_total", "zones.*zone.records_total", "Records of a zone."),
	}
	return slices.Concat(exporter, nodeMetrics(), zoneMetrics(), peerMetrics())
}

// milli makes seconds of milliseconds, and requests of their thousandths.
const milli = 1e-3

func nodeMetrics() []admin.Metric {
	reached := map[string]float64{"connected": 1, "self": 1, "alias": 1}
	return []admin.Metric{
		admin.Gauge("starling_ready", "ready", "1 once the node has what the others have."),
		admin.Gauge("starling_nodes_agree", "nodes_agree", "1 while every member is reached, every zone is shared with each, and agrees where it can be compared."),
		admin.Gauge("starling_nodes_agreement_unknown", "agreement", "1 while it is unknown whether the nodes agree: not compared since the last write, or a member is silent or not connected.").Of(unknown),
		admin.Gauge("starling_clock_offset_seconds", "clock_offset_ms", "Cluster time minus the local clock.").By(milli),
		admin.Gauge("starling_member_reached", "members.[member=member,address=address].state",
			"1 while the address of a member is connected, or is this node, or another way to a connected one; 0 without address for a name that is not answered.").Of(reached),
	}
}

// wellAgreed is 1 where the operator need not look.
var wellAgreed = map[string]float64{"agree": 1, "alone": 1}

// unknown is 1 where nobody knows yet.
var unknown = map[string]float64{"unknown": 1}

func zoneMetrics() []admin.Metric {
	level := func(name, field, help string) admin.Metric {
		return admin.Gauge("starling_zone_"+name, "zones.*zone."+field, help)
	}
	count := func(name, field, help string) admin.Metric {
		return admin.Counter("starling_zone_"+name+"_total", "zones.*zone."+field, help)
	}
	digest := level("digest", "digest", "Sum over the records, the same on nodes that hold the same.")
	digest.Hex = true
	return []admin.Metric{
		digest,
		level("agrees", "agreement", "1 while a zone agrees with all connected peers; 0 where it differs, is unknown or cannot be compared.").Of(wellAgreed),
		level("agreement_unknown", "agreement", "1 while a zone was not compared since the last write, or with a silent peer.").Of(unknown),
		level("ready", "ready", "1 once a zone was taught, or nobody is there to teach it."),
		level("full", "full", "1 while a zone refuses writes of this node or of peers, and after it evicted records."),
		level("record_bytes", "record_bytes", "Memory that the records of a zone take."),
		level("tombstones", "tombstones", "Deletions that a zone remembers; they give way to records."),
		level("tombstone_bytes", "tombstone_bytes", "Memory that the remembered deletions take."),
		count("given_up_tombstones", "tombstones_given_up", "Deletions forgotten before their time, for want of room."),
		count("evicted_records", "evicted", "Records dropped for want of room."),
		count("refused_records", "refused", "Records of peers refused for want of room."),
		count("refused_stamps", "refused_stamps", "Records of peers refused because they are stamped too far in the future."),
		count("conflicts_won", "conflicts_won", "Records of peers that replaced or added to what was here."),
		count("conflicts_lost", "conflicts_lost", "Records of peers that were older than what was here."),
		count("forfeited_requests", "forfeited_millirequests", "Requests at other nodes that a limit gave up counting.").By(milli),
		count("repairs", "repairs", "Comparisons with a peer after which records were exchanged."),
		count("repaired_records", "records_repaired", "Records that came by repairs."),
		count("repair_sent_records", "records_repair_sent", "Records sent by repairs."),
	}
}

func peerMetrics() []admin.Metric {
	const peer = "peers.[peer=node_id,address=address]"
	level := func(name, field, help string) admin.Metric {
		return admin.Gauge("starling_peer_"+name, peer+"."+field, help)
	}
	compared := func(name, field, help string) admin.Metric {
		return admin.Gauge("starling_peer_zone_"+name, peer+".digests.*zone."+field, help)
	}
	return []admin.Metric{
		level("pushing", "pushing", "1 while the connection to a peer stands."),
		level("accepted", "accepted", "1 while a connection from a peer stands."),
		level("teaching", "teaching", "1 while a peer is taught."),
		level("protocol_version", "protocol_version", "Version of the protocol spoken with a peer."),
		level("round_trip_seconds", "rtt_ms", "Round trip to a peer, measured in whole milliseconds.").By(milli),
		level("clock_offset_seconds", "clock_offset_ms", "Clock of a peer minus the local one.").By(milli),
		level("clock_refused", "clock_refused", "1 while the clock of a peer is too far from cluster time to be followed."),
		level("lag_seconds", "lag_ms", "Age of the oldest frame that a peer has not acknowledged.").By(milli),
		level("lag_records", "records_pending", "Records that a peer has not acknowledged."),
		level("mismatched_zones", "mismatches", "Zones that cannot be shared with a peer."),
		admin.Counter("starling_peer_connections_lost_total", peer+".connections_lost", "Connections with a peer that stood and were lost."),
		compared("agrees", "state", "1 while a zone agrees with that of a peer.").Of(wellAgreed),
		compared("differing_shards", "differing_shards", "Shards that differed at the last comparison with a peer, of 256."),
		compared("compared_age_seconds", "age_ms", "Time since the last comparison with a peer.").By(milli),
	}
}
