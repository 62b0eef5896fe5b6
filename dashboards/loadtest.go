package main

// loadTestBoard shows a run beside the system that carries it. What the load test
// says is chosen by the variables; the relays' part is of all relays.
func loadTestBoard() dashboard {
	return dashboard{
		uid: "trunkline-loadtest", title: "Load test", lists: "trunkline_build_info",
		about: "A run of trunkline-loadtest, and what the relays show meanwhile. Latency counts from when a request was due.",
		rows: []row{
			{"Now", []panel{
				{kind: stat, title: "Operations", unit: "reqps", link: "metrics.md#trunkline_loadtest_requests_total", about: "That were due, a second.",
					queries: []query{{`sum(rate(trunkline_loadtest_requests_total{SEL}[$__rate_interval]))`, "requests"}}},
				{kind: stat, title: "Failed", unit: "percentunit", link: "metrics.md#trunkline_loadtest_requests_total", about: "Of them without a whole and right answer.",
					queries: []query{{`1 - sum(rate(trunkline_loadtest_requests_total{SEL, result="ok"}[$__rate_interval])) / (sum(rate(trunkline_loadtest_requests_total{SEL}[$__rate_interval])) > 0)`, "failed"}}},
				{kind: stat, title: "99 %", unit: "s", link: "metrics.md#trunkline_loadtest_request_seconds", about: "99 of 100 requests had their whole answer within this.",
					queries: quantiles("trunkline_loadtest_request_seconds", "")[2:]},
				{kind: stat, title: "In flight", unit: "short", link: "metrics.md#trunkline_loadtest_in_flight_requests", about: "Requests that wait. A slope means that more are due than are answered.",
					queries: []query{{`sum(trunkline_loadtest_in_flight_requests{SEL})`, "requests"}}},
				{kind: stat, title: "Tunnels", unit: "short", link: "trunkline-relays", about: "Held by the relays.",
					queries: []query{{`sum(trunkline_relay_tunnels{SEL})`, "tunnels"}}},
				{kind: stat, title: "Relay CPU", unit: "short", link: "trunkline-relays", about: "Processors that the relays keep busy.",
					queries: []query{{`sum(rate(process_cpu_seconds_total{SEL}[$__rate_interval]) and on (job, instance) trunkline_relay_tunnels{SEL})`, "processors"}}},
			}},
			{"What visitors see", []panel{
				{kind: timeseries, title: "Operations by result", unit: "reqps", stacked: true, link: "metrics.md#trunkline_loadtest_requests_total", about: "ok, a status, or why there was no whole answer.",
					queries: []query{perSecond("trunkline_loadtest_requests_total", "result")}},
				{kind: timeseries, title: "Latency", unit: "s", link: "metrics.md#trunkline_loadtest_request_seconds", about: "From when a request was due to the end of its answer.",
					queries: quantiles("trunkline_loadtest_request_seconds", "kind")},
				{kind: heatmap, title: "Latency", unit: "s", none: "-", link: "metrics.md#trunkline_loadtest_request_seconds", about: "Of requests that succeeded.",
					queries: []query{{`sum by (le) (increase(trunkline_loadtest_request_seconds_bucket{SEL}[$__rate_interval]))`, "{{le}}"}}},
				{kind: timeseries, title: "Bytes checked", unit: "Bps", link: "metrics.md#trunkline_loadtest_checked_bytes_total", about: "All but good is a bug.",
					queries: []query{perSecond("trunkline_loadtest_checked_bytes_total", "result")}},
				{kind: timeseries, title: "Simulated PBXs", unit: "short", link: "metrics.md#trunkline_loadtest_devices", about: "Activated, with a tunnel, and WebSockets that are open.",
					queries: []query{{`sum(trunkline_loadtest_devices{SEL})`, "activated"}, {`sum(trunkline_loadtest_tunnels{SEL})`, "tunnels"}, {`sum(trunkline_loadtest_websockets{SEL})`, "WebSockets"}}},
				{kind: timeseries, title: "In flight", unit: "short", link: "metrics.md#trunkline_loadtest_in_flight_requests", about: "Requests that wait for the end of their answer.",
					queries: []query{{`sum(trunkline_loadtest_in_flight_requests{SEL})`, "requests"}}},
			}},
			{"What the relays show", []panel{
				{kind: timeseries, title: "Relay CPU for a request", unit: "s", link: "trunkline-relays", about: "Processor time of the relays by browsers' requests: with nothing else going on, what a request costs.",
					queries: []query{{`sum(rate(process_cpu_seconds_total{SEL}[$__rate_interval]) and on (job, instance) trunkline_relay_tunnels{SEL}) / (sum(rate(trunkline_relay_edge_requests_total{SEL}[$__rate_interval])) > 0)`, "a request"}}},
				{kind: timeseries, title: "Relay memory", unit: "bytes", link: "trunkline-relays", about: "Resident.",
					queries: []query{{`sum by (instance) (process_resident_memory_bytes{SEL} and on (job, instance) trunkline_relay_tunnels{SEL})`, "{{instance}}"}}},
				{kind: timeseries, title: "Tunnels", unit: "short", link: "trunkline-relays", about: "Held by each relay.",
					queries: []query{{`sum by (instance) (trunkline_relay_tunnels{SEL})`, "{{instance}}"}}},
				{kind: timeseries, title: "Failed requests by code", unit: "reqps", link: "runbooks/TrunklineVisitsFailing.md", about: "As the relays see it. What they do not see is between them and the load test.",
					queries: []query{perSecond("trunkline_relay_edge_faults_total", "code")}},
			}},
		},
	}
}
