package main

func relaysBoard() dashboard {
	return dashboard{
		uid: "trunkline-relays", title: "Relays", lists: "trunkline_relay_tunnels",
		about: "All relays beside each other. Choose one under One relay for why.",
		rows: []row{
			{"Now", []panel{
				{kind: stat, title: "Relays up", unit: "short", link: "runbooks/TrunklineRelayDown.md", about: "Relays that Prometheus reaches.",
					queries: []query{{`count(trunkline_relay_tunnels{SEL})`, "relays"}}},
				{kind: stat, title: "Tunnels", unit: "short", link: "trunkline-fleet", about: "Held by all relays.",
					queries: []query{{`sum(trunkline_relay_tunnels{SEL})`, "tunnels"}}},
				{kind: stat, title: "Requests", unit: "reqps", link: "metrics.md#trunkline_relay_edge_requests_total", about: "Browsers' requests a second.",
					queries: []query{{`sum(rate(trunkline_relay_edge_requests_total{SEL}[$__rate_interval]))`, "requests"}}},
				{kind: stat, title: "Failed", unit: "percentunit", link: "runbooks/TrunklineVisitsFailing.md", about: "Requests that failed for what a relay, the tunnel or the portal did.",
					queries: []query{{failedShare, "failed"}}},
				{kind: stat, title: "First byte, 99 %", unit: "s", link: "runbooks/TrunklineVisitsSlow.md", about: "99 of 100 requests have the portal's answer begin within this.",
					queries: quantiles("trunkline_relay_edge_first_byte_seconds", "")[2:]},
				{kind: stat, title: "Draining", unit: "short", link: "metrics.md#trunkline_relay_draining", about: "Relays that are being stopped.",
					queries: []query{{`sum(trunkline_relay_draining{SEL})`, "draining"}}},
			}},
			{"Browsers", browsers()},
			{"Agents", agents()},
			{"Links between relays", links()},
			{"What there is a limit to", saturation()},
			{"Processes", process()},
		},
	}
}

func relayBoard() dashboard {
	return dashboard{
		uid: "trunkline-relay", title: "One relay", lists: "trunkline_relay_tunnels", one: true,
		about: "Everything that one relay says of itself.",
		rows: []row{
			{"Now", []panel{
				{kind: stat, title: "Tunnels", unit: "short", link: "metrics.md#trunkline_relay_tunnels", about: "Held now.",
					queries: []query{{`sum(trunkline_relay_tunnels{SEL})`, "tunnels"}}},
				{kind: stat, title: "Visits", unit: "short", link: "metrics.md#trunkline_relay_visits", about: "Visits that this relay has served within their idle time.",
					queries: []query{{`sum(trunkline_relay_visits{SEL})`, "visits"}}},
				{kind: stat, title: "Bus", unit: "bool_on_off", link: "runbooks/TrunklineBusDown.md", about: "Whether it reaches NATS. Without it tunnels and visits go on, and new handovers do not.",
					queries: []query{{`min(trunkline_bus_connected{SEL})`, "bus"}}},
				{kind: stat, title: "Lease renewed", unit: "s", link: "metrics.md#trunkline_relay_lease_renewed_timestamp_seconds", about: "How long ago this relay said on the bus that it lives; it does so every few seconds.",
					queries: []query{{`time() - max(trunkline_relay_lease_renewed_timestamp_seconds{SEL})`, "ago"}}},
				{kind: stat, title: "Certificate ends in", unit: "dtdurations", link: "runbooks/TrunklineCertificateExpiresSoon.md", about: "Of the public port.",
					queries: []query{{`min(trunkline_relay_certificate_expiry_timestamp_seconds{SEL}) - time()`, "left"}}},
				{kind: stat, title: "Up for", unit: "dtdurations", link: "runbooks/TrunklineRestarting.md", about: "Since the process began.",
					queries: []query{{`time() - max(process_start_time_seconds{SEL})`, "up"}}},
			}},
			{"Browsers", append(browsers(), []panel{
				{kind: timeseries, title: "Handovers by outcome", unit: "ops", link: "runbooks/TrunklineHandoversFailing.md", about: "Clicks on Visit that arrived here. handover_used is a reload of an old page, unavailable a bus that is away.",
					queries: []query{perSecond("trunkline_relay_handovers_total", "code")}},
				{kind: timeseries, title: "Held back by limits", unit: "ops", link: "metrics.md#trunkline_relay_edge_limited_total", about: "Requests refused and pieces of 64 KiB made to wait by edge.limits; nothing unless limits are set.",
					queries: []query{perSecond("trunkline_relay_edge_limited_total", "limit")}},
				{kind: timeseries, title: "HTTP/2 errors", unit: "ops", link: "metrics.md#trunkline_relay_edge_http2_errors_total", about: "What browsers, or who poses as one, sent wrong.",
					queries: []query{perSecond("trunkline_relay_edge_http2_errors_total", "reason")}},
				{kind: timeseries, title: "Connections refused", unit: "ops", link: "metrics.md#trunkline_relay_edge_connections_refused_total", about: "full: edge.limits.conns is reached; untrusted: somebody at the plain port who is no trusted proxy.",
					queries: []query{perSecond("trunkline_relay_edge_connections_refused_total", "reason")}},
			}...)},
			{"Agents", append(agents(), []panel{
				{kind: timeseries, title: "Two tunnels of one device", unit: "ops", link: "runbooks/TrunklineTwoAgentsOneKey.md", about: "Tunnels closed because their device opened a newer one. A steady rate is two agents with one key.",
					queries: []query{{`sum by (instance) (rate(trunkline_relay_tunnels_replaced_total{SEL}[$__rate_interval]))`, "{{instance}}"}}},
				{kind: timeseries, title: "Requests sent again", unit: "ops", link: "metrics.md#trunkline_relay_edge_stream_retries_total", about: "A kept stream had just ended: portals whose keep-alive is shorter than edge.limits.stream_idle.",
					queries: []query{{`sum by (instance) (rate(trunkline_relay_edge_stream_retries_total{SEL}[$__rate_interval]))`, "{{instance}}"}}},
			}...)},
			{"What there is a limit to", saturation()},
			{"Bus and routes", []panel{
				{kind: timeseries, title: "Route table", unit: "short", link: "metrics.md#trunkline_relay_routes", about: "Devices that this relay knows the way to, its own and others'. All relays show the same.",
					queries: []query{{`sum by (instance) (trunkline_relay_routes{SEL})`, "{{instance}}"}}},
				{kind: timeseries, title: "Messages", unit: "ops", link: "metrics.md#trunkline_bus_messages_total", about: "From and to NATS.",
					queries: []query{perSecond("trunkline_bus_messages_total", "direction")}},
				{kind: timeseries, title: "Watches begun anew", unit: "ops", link: "runbooks/TrunklineBusDown.md", about: "By bucket. Each is a lost connection, or a NATS that came back empty.",
					queries: []query{perSecond("trunkline_bus_watch_restarts_total", "bucket")}},
				{kind: timeseries, title: "Calls to control that failed", unit: "ops", link: "metrics.md#trunkline_bus_call_failures_total", about: "By code. They are made again.",
					queries: []query{perSecond("trunkline_bus_call_failures_total", "code")}},
			}},
			{"Process", append(process(), panel{
				kind: table, title: "What runs", unit: "none", none: "-", link: "metrics.md#trunkline_build_info", about: "Version, commit and Go of the process.",
				queries: []query{{`max by (instance, version, revision, go) (trunkline_build_info{SEL})`, ""}},
			})},
		},
	}
}

// failedShare is of requests that failed for what is not the browser's doing.
const failedShare = `sum(rate(trunkline_relay_edge_faults_total{SEL, code=~"` + failures + `"}[$__rate_interval])) / (sum(rate(trunkline_relay_edge_requests_total{SEL}[$__rate_interval])) > 0)`

// failures are the faults that the provider has to look into. not_connected is
// not one: staff try PBXs that they know are off.
const failures = "internal|unavailable|not_ready|connection_lost|peer_silent|relay_lost|relay_unreachable|not_at_this_relay|forwarded_twice|portal_.*"

func browsers() []panel {
	return []panel{
		{kind: timeseries, title: "Requests by class of status", unit: "reqps", stacked: true, link: "metrics.md#trunkline_relay_edge_requests_total", about: "What portals and the relay answered. none: the browser did not wait.",
			queries: []query{perSecond("trunkline_relay_edge_requests_total", "class")}},
		{kind: timeseries, title: "Failed requests by code", unit: "reqps", link: "runbooks/TrunklineVisitsFailing.md", about: "Codes are those of the error pages and of the log.",
			queries: []query{perSecond("trunkline_relay_edge_faults_total", "code")}},
		{kind: heatmap, title: "Time to the first byte", unit: "s", none: "-", link: "runbooks/TrunklineVisitsSlow.md", about: "From a request's head to the head of the portal's answer: the way there and back, and the portal.",
			queries: []query{{`sum by (le) (increase(trunkline_relay_edge_first_byte_seconds_bucket{SEL}[$__rate_interval]))`, "{{le}}"}}},
		{kind: timeseries, title: "Time to the first byte, quantiles", unit: "s", link: "runbooks/TrunklineVisitsSlow.md", about: "The dots are exemplars: their visit is in the log.",
			queries: quantiles("trunkline_relay_edge_first_byte_seconds", "")},
		{kind: timeseries, title: "Bytes", unit: "Bps", link: "metrics.md#trunkline_relay_edge_bytes_total", about: "Bodies: in from browsers, out to them.",
			queries: []query{perSecond("trunkline_relay_edge_bytes_total", "direction")}},
		{kind: timeseries, title: "Browsers", unit: "short", link: "metrics.md#trunkline_relay_edge_connections", about: "Connections, requests being served, and WebSockets.",
			queries: []query{
				{`sum(trunkline_relay_edge_connections{SEL})`, "connections"},
				{`sum(trunkline_relay_edge_requests_active{SEL})`, "requests"},
				{`sum(trunkline_relay_edge_websockets_active{SEL})`, "WebSockets"},
				{`sum(trunkline_relay_visits{SEL})`, "visits"},
			}},
	}
}

func agents() []panel {
	return []panel{
		{kind: timeseries, title: "Tunnels", unit: "short", stacked: true, link: "trunkline-relay", about: "Held by each relay.",
			queries: []query{{`sum by (instance) (trunkline_relay_tunnels{SEL})`, "{{instance}}"}}},
		{kind: timeseries, title: "Tunnels ended by reason", unit: "ops", link: "metrics.md#trunkline_relay_tunnels_ended_total", about: "draining is a relay that restarts; its agents move.",
			queries: []query{perSecond("trunkline_relay_tunnels_ended_total", "code")}},
		{kind: timeseries, title: "Connections to the public port", unit: "ops", link: "metrics.md#trunkline_relay_connections_total", about: "By what they turned out to be. failed: no TLS came about; shed: too many at once.",
			queries: []query{perSecond("trunkline_relay_connections_total", "kind")}},
		{kind: timeseries, title: "Agents shed by reason", unit: "ops", link: "runbooks/TrunklineAgentsShed.md", about: "Agents turned away before it costs anything; they come again after a time of their own.",
			queries: []query{perSecond("trunkline_relay_tunnels_shed_total", "reason")}},
		{kind: timeseries, title: "Handshakes", unit: "short", link: "runbooks/TrunklineAgentsShed.md", about: "Under way, and of them those that wait for a processor.",
			queries: []query{{`sum(trunkline_relay_handshakes{SEL})`, "under way"}, {`sum(trunkline_relay_handshakes_waiting{SEL})`, "waiting"}}},
		{kind: timeseries, title: "Time of a handshake", unit: "s", link: "metrics.md#trunkline_relay_handshake_seconds", about: "Waiting for a turn included. Agents may wait in a storm; browsers should not.",
			queries: quantiles("trunkline_relay_handshake_seconds", "kind")},
		{kind: timeseries, title: "Streams", unit: "short", link: "metrics.md#trunkline_relay_edge_streams_idle", about: "In use by requests and WebSockets, and kept for the next request.",
			queries: []query{
				{`sum(trunkline_relay_edge_requests_active{SEL}) + sum(trunkline_relay_edge_websockets_active{SEL})`, "in use"},
				{`sum(trunkline_relay_edge_streams_idle{SEL})`, "kept"},
			}},
		{kind: timeseries, title: "Streams opened and not opened", unit: "ops", link: "metrics.md#trunkline_relay_stream_failures_total", about: "Not opened: the tunnel was ending, or the agent takes no more. What the agent refuses is among the failed requests.",
			queries: []query{
				{`sum(rate(trunkline_relay_edge_streams_opened_total{SEL}[$__rate_interval]))`, "opened"},
				{`sum(rate(trunkline_relay_stream_failures_total{SEL}[$__rate_interval]))`, "not opened"},
			}},
	}
}

// links are empty where there is one relay.
func links() []panel {
	return []panel{
		{kind: timeseries, title: "Links up", unit: "short", link: "runbooks/TrunklinePeerLinkDown.md", about: "Connections of each relay to each other one. 0: what comes to the one for PBXs of the other fails.",
			queries: []query{{`sum by (instance, peer) (trunkline_relay_peer_links{SEL})`, "{{instance}} to {{peer}}"}}},
		{kind: timeseries, title: "Tries to connect that failed", unit: "ops", link: "runbooks/TrunklinePeerLinkDown.md", about: "By the relay that was not reached.",
			queries: []query{perSecond("trunkline_relay_peer_dial_failures_total", "peer")}},
		{kind: timeseries, title: "Round trip between relays", unit: "s", link: "metrics.md#trunkline_relay_peer_rtt_seconds", about: "Of the quickest link: what a request that comes to the wrong relay takes longer.",
			queries: []query{{`max by (instance, peer) (trunkline_relay_peer_rtt_seconds{SEL})`, "{{instance}} to {{peer}}"}}},
		{kind: timeseries, title: "Bytes between relays", unit: "Bps", link: "metrics.md#trunkline_relay_peer_sent_bytes_total", about: "TLS aside. What one sends another receives.",
			queries: []query{
				{`sum(rate(trunkline_relay_peer_sent_bytes_total{SEL}[$__rate_interval]))`, "sent"},
				{`sum(rate(trunkline_relay_peer_received_bytes_total{SEL}[$__rate_interval]))`, "received"},
			}},
		{kind: timeseries, title: "Streams through another relay", unit: "ops", link: "metrics.md#trunkline_relay_peer_streams_opened_total", about: "Taken by other relays for requests that came here.",
			queries: []query{{`sum(rate(trunkline_relay_peer_streams_opened_total{SEL}[$__rate_interval]))`, "opened"}}},
		{kind: timeseries, title: "Streams that other relays did not take", unit: "ops", link: "metrics.md#trunkline_relay_peer_stream_failures_total", about: "By code. not_at_this_relay is a route that was just changing, and is waited for, seven seconds at most.",
			queries: []query{perSecond("trunkline_relay_peer_stream_failures_total", "code")}},
	}
}

func saturation() []panel {
	return []panel{
		{kind: timeseries, title: "Tunnels of tunnels.max", unit: "percentunit", link: "runbooks/TrunklineTunnelsNearlyFull.md", about: "At 100 % agents are sent elsewhere.",
			queries: []query{{`sum by (instance) (trunkline_relay_tunnels{SEL}) / sum by (instance) (trunkline_relay_tunnels_max{SEL})`, "{{instance}}"}}},
		{kind: timeseries, title: "Windows of tunnels.windows", unit: "percentunit", link: "runbooks/TrunklineWindowsNearlyUsedUp.md", about: "Memory that slow browsers may hold. At 100 % streams stay at 256 KiB and long lines get slow.",
			queries: []query{{`sum by (instance) (trunkline_relay_windows_bytes{SEL}) / (sum by (instance) (trunkline_relay_windows_max_bytes{SEL}) > 0)`, "{{instance}}"}}},
		{kind: timeseries, title: "Waiting for the bus or for control", unit: "short", link: "runbooks/TrunklineReportsWaiting.md", about: "Routes that the bus has not been told, and reports of visits that control has not taken.",
			queries: []query{{`sum by (instance) (trunkline_relay_routes_pending{SEL})`, "{{instance}} routes"}, {`sum by (instance) (trunkline_relay_reports_pending{SEL})`, "{{instance}} reports"}}},
		{kind: timeseries, title: "File descriptors", unit: "percentunit", link: "runbooks/TrunklineFileDescriptors.md", about: "Open of those that the process may have: one for each tunnel and each browser's connection.",
			queries: []query{{`max by (instance) (process_open_fds{SEL}) / max by (instance) (process_max_fds{SEL})`, "{{instance}}"}}},
	}
}

func process() []panel {
	each := func(expr, name string) query { return query{expr, "{{instance}}" + name} }
	return []panel{
		{kind: timeseries, title: "CPU", unit: "short", link: "metrics.md#go-and-the-process", about: "Processors kept busy.",
			queries: []query{each(`sum by (instance) (rate(process_cpu_seconds_total{SEL}[$__rate_interval]))`, "")}},
		{kind: timeseries, title: "Memory", unit: "bytes", link: "metrics.md#go-and-the-process", about: "Resident, and of it what Go's heap holds.",
			queries: []query{each(`sum by (instance) (process_resident_memory_bytes{SEL})`, " resident"), each(`sum by (instance) (go_memstats_heap_inuse_bytes{SEL})`, " heap")}},
		{kind: timeseries, title: "Garbage collection", unit: "s", link: "metrics.md#go-and-the-process", about: "The longest pause lately.",
			queries: []query{each(`max by (instance) (go_gc_duration_seconds{SEL, quantile=~"1|1.0"})`, "")}},
		{kind: timeseries, title: "Goroutines", unit: "short", link: "metrics.md#go-and-the-process", about: "Idle tunnels have none. A slope that does not follow the browsers is a leak.",
			queries: []query{each(`sum by (instance) (go_goroutines{SEL})`, "")}},
	}
}
