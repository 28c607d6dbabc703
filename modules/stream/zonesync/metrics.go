package zonesync

import (
	"slices"

	"starling/admin"
)

// metrics are the values of `cluster` in the API as Prometheus metrics. The first ones are those of NGINX Plus's
// exporter.
func metrics() []admin.Metric {
	const status, zone = "nginxplus_stream_zone_sync_status_", "nginxplus_stream_zone_sync_zone_"
	exporter := []admin.Metric{
		admin.Counter(status+"bytes_in", "status.bytes_in", "Bytes received from peers, heartbeats included."),
		admin.Counter(status+"bytes_out", "updates.bytes_out", "Bytes of records sent to peers."),
		admin.Counter(status+"msgs_in", "status.msgs_in", "Frames received from peers, heartbeats included."),
		admin.Counter(status+"msgs_out", "updates.msgs_out", "Frames of records sent to peers."),
		admin.Gauge(status+"nodes_online", "status.nodes_online", "Connected peers, this node excluded."),
		admin.Gauge(
			zone+"records_pending",
			"zones.*zone.records_pending",
			"Records that at least one listed member lacks, as far as this node knows.",
		),
		admin.Gauge(zone+"records_total", "zones.*zone.records_total", "Records of a zone."),
	}
	return slices.Concat(exporter, nodeMetrics(), zoneMetrics(), peerMetrics())
}

// milli converts milliseconds to seconds, and thousandths of requests to requests.
const milli = 1e-3

func nodeMetrics() []admin.Metric {
	reached := map[string]float64{"connected": 1, "self": 1, "alias": 1}
	return []admin.Metric{
		admin.Gauge("starling_ready", "ready", "1 once the initial sync has completed."),
		admin.Gauge(
			"starling_nodes_agree",
			"nodes_agree",
			"1 while every member is connected, every zone is shared with each of them, and all zones agree.",
		),
		admin.Gauge("starling_nodes_agreement_unknown", "agreement", "1 while it is unknown whether the nodes agree: "+
			"not compared since the last write, or a member is silent or not connected.").
			Of(unknown),
		admin.Gauge("starling_clock_offset_seconds", "clock_offset_ms", "Cluster time minus the local clock.").
			By(milli),
		admin.Counter("starling_delivery_waits_total", "deliveries.waits",
			"Answers to clients that waited until peers had a change."),
		admin.Counter("starling_delivery_timeouts_total", "deliveries.timeouts",
			"Such waits whose time ran out."),
		admin.Counter("starling_delivery_left_out_total", "deliveries.left_out",
			"How often a peer was left out of later waits because it acknowledged too late."),
		admin.Counter("starling_questions_asked_total", "questions.asked",
			"Sessions that clients named and the node asked its peers for."),
		admin.Counter("starling_questions_found_total", "questions.found", "Such sessions that a peer knew."),
		admin.Counter("starling_questions_timeouts_total", "questions.timeouts", "Such questions whose time ran out."),
		admin.Counter("starling_questions_skipped_total", "questions.skipped",
			"Such sessions not asked for: unknown a moment ago, too many open questions, or nobody to ask."),
		admin.Counter("starling_questions_answered_total", "questions.answered",
			"Questions of peers that were answered."),
		admin.Counter("starling_questions_dropped_total", "questions.dropped",
			"Questions of peers that came faster than they were answered."),
		admin.Gauge(
			"starling_member_reached",
			"members.[member=member,address=address].state",
			"1 while the address of a member is connected, or leads to this node or to a connected peer; 0 without "+
				"an address for a name that does not resolve.",
		).Of(reached),
	}
}

// wellAgreed is 1 if the operator need not look.
var wellAgreed = map[string]float64{"agree": 1, "alone": 1}

// unknown is 1 if no node knows yet.
var unknown = map[string]float64{"unknown": 1}

func zoneMetrics() []admin.Metric {
	level := func(name, field, help string) admin.Metric {
		return admin.Gauge("starling_zone_"+name, "zones.*zone."+field, help)
	}
	count := func(name, field, help string) admin.Metric {
		return admin.Counter("starling_zone_"+name+"_total", "zones.*zone."+field, help)
	}
	digest := level("digest", "digest", "Digest of the records, equal on nodes with equal records.")
	digest.Hex = true
	return []admin.Metric{
		digest,
		level(
			"agrees",
			"agreement",
			"1 while a zone agrees with all members; 0 where it differs, is unknown or cannot be compared.",
		).Of(wellAgreed),
		level(
			"agreement_unknown",
			"agreement",
			"1 while a zone was not compared since the last write, or a member is silent or not connected.",
		).Of(unknown),
		level("ready", "ready", "1 once a zone has completed its initial sync, or has no peer to sync from."),
		level("full", "full", "1 while a zone would reject the next write, or rejected one of this node or of a peer "+
			"and still would; and after it evicted records."),
		level("record_bytes", "record_bytes", "Memory used by the records of a zone."),
		level("tombstones", "tombstones", "Tombstones of a zone; records evict them."),
		level("tombstone_bytes", "tombstone_bytes", "Memory used by the tombstones of a zone."),
		count(
			"given_up_tombstones",
			"tombstones_given_up",
			"Tombstones evicted before the end of their lifetime because the zone was full.",
		),
		count("evicted_records", "evicted", "Records evicted because the zone was full."),
		count("refused_records", "refused", "Records of peers rejected because the zone was full."),
		count("refused_stamps", "refused_stamps", "Records of peers rejected because of stamps too far in the future."),
		count("conflicts_won", "conflicts_won", "Records of peers that changed local records."),
		count("conflicts_lost", "conflicts_lost", "Records of peers that were older than local records."),
		count(
			"forfeited_requests",
			"forfeited_millirequests",
			"Requests at other nodes that a limit forfeited without counting.",
		).By(milli),
		count("repairs", "repairs", "Comparisons with a peer after which records were exchanged."),
		count("repaired_records", "records_repaired", "Records received by repairs."),
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
		level("pushing", "pushing", "1 while the outgoing connection to a peer is established."),
		level("accepted", "accepted", "1 while an incoming connection from a peer is established."),
		level("teaching", "teaching", "1 while a full resync of a peer is in progress."),
		level(
			"left_out",
			"left_out",
			"1 while answers to clients do not wait for a peer, because it acknowledged too late.",
		),
		level("protocol_version", "protocol_version", "Protocol version used with a peer."),
		level("round_trip_seconds", "rtt_ms", "Round-trip time to a peer, measured in whole milliseconds.").By(milli),
		level("clock_offset_seconds", "clock_offset_ms", "Clock of a peer minus the local one.").By(milli),
		level(
			"clock_refused",
			"clock_refused",
			"1 while the clock of a peer is ignored because it is too far from cluster time.",
		),
		level("lag_seconds", "lag_ms", "Age of the oldest frame that a peer has not acknowledged.").By(milli),
		level("lag_records", "records_pending", "Records that a peer has not acknowledged."),
		level("mismatched_zones", "mismatches", "Zones that cannot be shared with a peer."),
		admin.Counter(
			"starling_peer_connections_lost_total",
			peer+".connections_lost",
			"Established connections with a peer that were lost.",
		),
		compared("agrees", "state", "1 while a zone agrees with that of a peer.").Of(wellAgreed),
		compared(
			"differing_shards",
			"differing_shards",
			"Shards that differed at the last comparison with a peer, of 256.",
		),
		compared("compared_age_seconds", "age_ms", "Time since the last comparison with a peer.").By(milli),
	}
}
