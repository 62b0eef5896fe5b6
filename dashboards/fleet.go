package main

func all() []dashboard {
	return []dashboard{fleetBoard(), relaysBoard(), relayBoard(), controlBoard(), loadTestBoard()}
}

func fleetBoard() dashboard {
	return dashboard{
		uid: "trunkline-fleet", title: "Fleet", lists: "trunkline_build_info",
		about: "How the PBXs are: who is connected, who comes and goes and why, and how much of the licence is used.",
		rows: []row{
			{"Now", []panel{
				{kind: stat, title: "Connected", unit: "short", link: "metrics.md#trunkline_control_devices", about: "Devices whose tunnel is up.",
					queries: []query{{`max(trunkline_control_devices{SEL, status="connected"})`, "connected"}}},
				{kind: stat, title: "Disconnected", unit: "short", link: "metrics.md#trunkline_control_devices", about: "Devices that were connected since control started and are not now.",
					queries: []query{{`max(trunkline_control_devices{SEL, status="disconnected"})`, "disconnected"}}},
				{kind: stat, title: "Never connected", unit: "short", link: "metrics.md#trunkline_control_devices", about: "Devices that were added in the console and have not come yet.",
					queries: []query{{`max(trunkline_control_devices{SEL, status="never_connected"})`, "never"}}},
				{kind: stat, title: "Licence used", unit: "percentunit", link: "runbooks/TrunklineCapacityNearlyUsed.md", about: "Connections in use of those that the licence has.",
					queries: []query{{`max(trunkline_control_connections{SEL, kind="used"}) / max(trunkline_control_connections{SEL, kind="licensed"})`, "used"}}},
				{kind: stat, title: "Licence ends in", unit: "dtdurations", none: "never", link: "runbooks/TrunklineLicenceExpiresSoon.md", about: "Until the licence expires; 14 days of grace follow. A trial without a licence does not expire.",
					queries: []query{{`(max(trunkline_control_licence_expiry_timestamp_seconds{SEL}) > 0) - time()`, "left"}}},
				{kind: stat, title: "Visits", unit: "short", link: "metrics.md#trunkline_control_visits", about: "Visits that go on.",
					queries: []query{{`max(trunkline_control_visits{SEL})`, "visits"}}},
				{kind: stat, title: "Pairs", unit: "short", link: "metrics.md#trunkline_control_pairs", about: "Hot-standby pairs.",
					queries: []query{{`max(trunkline_control_pairs{SEL})`, "pairs"}}},
				{kind: stat, title: "Pair alarms", unit: "short", link: "runbooks/TrunklinePairAlarm.md", about: "Pairs of which both say that they are active, or neither does, or both are of one type.",
					queries: []query{{`max(trunkline_control_pair_alarms{SEL})`, "alarms"}}},
				{kind: stat, title: "Over capacity", unit: "short", link: "runbooks/TrunklineSitesOverCapacity.md", about: "Sites for which the licence has no connection: their visits are refused.",
					queries: []query{{`max(trunkline_control_sites_over_capacity{SEL})`, "sites"}}},
			}},
			{"Coming and going", []panel{
				{kind: timeseries, title: "Devices by status", unit: "short", stacked: true, link: "runbooks/TrunklineDevicesLost.md", about: "A step down is a relay, a provider's network or a power cut; a slow slope is single devices.",
					queries: []query{{`max by (status) (trunkline_control_devices{SEL})`, "{{status}}"}}},
				{kind: timeseries, title: "Tunnels by relay", unit: "short", stacked: true, link: "trunkline-relays", about: "Which relay holds how many.",
					queries: []query{{`sum by (instance) (trunkline_relay_tunnels{SEL})`, "{{instance}}"}}},
				{kind: timeseries, title: "Connects and disconnects", unit: "ops", link: "trunkline-relays", about: "Tunnels that came up and that ended, a second. Both high: devices that come and go.",
					queries: []query{
						{`sum(rate(trunkline_relay_tunnels_accepted_total{SEL}[$__rate_interval]))`, "connects"},
						{`sum(rate(trunkline_relay_tunnels_ended_total{SEL}[$__rate_interval]))`, "disconnects"},
					}},
				{kind: timeseries, title: "Disconnects by reason", unit: "ops", link: "metrics.md#trunkline_relay_tunnels_ended_total", about: "peer_silent is a network or power that went, agent_stopped a restart of the PBX, draining a relay that restarts.",
					queries: []query{perSecond("trunkline_relay_tunnels_ended_total", "code")}},
				{kind: timeseries, title: "Connects refused by reason", unit: "ops", link: "runbooks/TrunklineTunnelsRefused.md", about: "Agents that came and were sent away, by the code that they were told.",
					queries: []query{perSecond("trunkline_relay_tunnels_refused_total", "code")}},
				{kind: timeseries, title: "How long tunnels last", unit: "s", link: "runbooks/TrunklineTunnelsFlapping.md", about: "Of tunnels that ended. Minutes are devices on a bad line, or something between that cuts idle connections.",
					queries: quantiles("trunkline_relay_tunnel_seconds", "")},
			}},
			{"What staff and PBXs ask", []panel{
				{kind: timeseries, title: "Activations by result", unit: "ops", link: "metrics.md#trunkline_control_decisions_total", about: "ok, or why not: rejected is a wrong password or code, no_connections_left a full licence.",
					queries: []query{perSecond(`trunkline_control_decisions_total{action="activate"}`, "outcome")}},
				{kind: timeseries, title: "Visits begun by result", unit: "ops", link: "metrics.md#trunkline_control_decisions_total", about: "What became of clicks on Visit.",
					queries: []query{perSecond(`trunkline_control_decisions_total{action="visit_start"}`, "outcome")}},
				{kind: timeseries, title: "Connections of the licence", unit: "short", link: "runbooks/TrunklineCapacityNearlyUsed.md", about: "Used and licensed.",
					queries: []query{{`max by (kind) (trunkline_control_connections{SEL})`, "{{kind}}"}}},
				{kind: timeseries, title: "Passes renewed by result", unit: "ops", link: "metrics.md#trunkline_control_decisions_total", about: "Each device renews its pass before it ends. Refusals here are disconnects later.",
					queries: []query{perSecond(`trunkline_control_decisions_total{action="renew_pass"}`, "outcome")}},
			}},
		},
	}
}
