package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// docs is where the documentation can be read with a browser. It is a name that
// nobody has (RFC 2606): README.md says how to put one's own in its place.
const docs = "https://trunkline.example/docs"

// selector stands in every expression for what the variables at the top of a
// dashboard select.
const selector = `job=~"$job", instance=~"$instance"`

// dashboard is one page.
type dashboard struct {
	uid, title, about string
	// lists is the metric whose jobs and instances can be chosen from; one
	// makes that a choice of a single instance.
	lists string
	one   bool
	rows  []row
}

type row struct {
	title  string
	panels []panel
}

// The kinds of panels, in Grafana's words.
const (
	stat       = "stat"
	timeseries = "timeseries"
	heatmap    = "heatmap"
	table      = "table"
)

type panel struct {
	kind, title, unit, about string
	link                     string // where it leads: a page below docs, or a dashboard's uid
	queries                  []query
	none                     string // what stands there when there is no data; "" is 0
	stacked                  bool
}

// query is an expression in PromQL, in which SEL stands for selector.
type query struct{ expr, legend string }

func (q query) promQL() string { return strings.ReplaceAll(q.expr, "SEL", selector) }

// quantiles are a histogram's, from its classic buckets.
func quantiles(metric, by string) []query {
	var out []query
	for _, q := range []struct{ q, name string }{{"0.5", "median"}, {"0.95", "95 %"}, {"0.99", "99 %"}} {
		group, legend := "le", q.name
		if by != "" {
			group, legend = "le, "+by, "{{"+by+"}} "+q.name
		}
		out = append(out, query{fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s_bucket{SEL}[$__rate_interval])))", q.q, group, metric), legend})
	}
	return out
}

// perSecond is a counter's rate by a label; what stands still is left out.
func perSecond(metric, by string) query {
	return query{fmt.Sprintf("sum by (%s) (rate(%s[$__rate_interval])) > 0", by, in(metric)), "{{" + by + "}}"}
}

// in puts SEL into a metric's braces, beside what is there.
func in(metric string) string {
	name, rest, had := strings.Cut(metric, "{")
	if !had {
		return metric + "{SEL}"
	}
	return name + "{SEL, " + rest
}

// object is JSON's.
type object = map[string]any

var source = object{"type": "prometheus", "uid": "${datasource}"}

// A dashboard is 24 units wide. Of stats six stand in a row, of others two.
const (
	wide                    = 24
	statWidth, panelWidth   = 4, 12
	statHeight, panelHeight = 4, 8
)

func (d dashboard) json() ([]byte, error) {
	var panels []any
	id, y := 0, 0
	for _, r := range d.rows {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []any{}, "gridPos": object{"x": 0, "y": y, "w": wide, "h": 1}})
		x, high := 0, 0
		y++
		for _, p := range r.panels {
			w, h := panelWidth, panelHeight
			if p.kind == stat {
				w, h = statWidth, statHeight
			}
			if x+w > wide {
				x, y, high = 0, y+high, 0
			}
			id++
			panels = append(panels, p.json(id, object{"x": x, "y": y, "w": w, "h": h}))
			x, high = x+w, max(high, h)
		}
		y += high
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"uid": d.uid, "title": "Trunkline / " + d.title, "description": d.about, "tags": []string{"trunkline"},
		"schemaVersion": 39, "version": 1, "editable": false, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
		"time": object{"from": "now-6h", "to": "now"}, "annotations": object{"list": []any{}},
		"templating": object{"list": d.variables()}, "panels": panels,
		"links": []any{object{
			"type": "dashboards", "title": "Trunkline", "tags": []string{"trunkline"}, "asDropdown": true, "includeVars": false, "keepTime": true,
		}},
	})
	return b.Bytes(), err
}

func (d dashboard) variables() []any {
	list := func(name, label, query string, one bool) object {
		v := object{
			"type": "query", "name": name, "label": label, "datasource": source, "refresh": 2, "sort": 1, "hide": 0,
			"query": object{"query": query, "refId": name}, "definition": query, "includeAll": !one, "multi": !one, "current": object{},
		}
		if !one {
			v["allValue"] = ".+"
			v["current"] = object{"text": "All", "value": "$__all"}
		}
		return v
	}
	return []any{
		object{"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": object{}, "hide": 0},
		list("job", "Job", "label_values("+d.lists+", job)", false),
		list("instance", "Instance", "label_values("+d.lists+`{job=~"$job"}, instance)`, d.one),
	}
}

func (p panel) json(id int, at object) object {
	none := p.none
	if none == "" {
		none = "0"
	}
	defaults := object{"unit": p.unit, "noValue": none}
	options := object{}
	switch p.kind {
	case stat:
		options = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}, "colorMode": "value", "graphMode": "area"}
	case timeseries:
		custom := object{"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "spanNulls": false}
		if p.stacked {
			custom["stacking"] = object{"mode": "normal", "group": "A"}
		}
		defaults["custom"], defaults["min"] = custom, 0
		options = object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case heatmap:
		options = object{
			"calculate": false, "yAxis": object{"unit": p.unit}, "rowsFrame": object{"layout": "le"},
			"color": object{"mode": "scheme", "scheme": "Oranges", "steps": 64}, "cellGap": 1, "tooltip": object{"mode": "single", "yHistogram": false, "showColorScale": false},
		}
	case table:
		options = object{"showHeader": true}
	}
	var targets []any
	for i, q := range p.queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source, "expr": q.promQL(), "legendFormat": q.legend, "format": "time_series", "range": true, "instant": false}
		switch p.kind {
		case heatmap:
			t["format"] = "heatmap"
		case table:
			t["format"], t["range"], t["instant"] = "table", false, true
		case timeseries:
			t["exemplar"] = strings.Contains(q.expr, "_bucket{")
		}
		targets = append(targets, t)
	}
	out := object{
		"id": id, "type": p.kind, "title": p.title, "description": p.about, "datasource": source, "gridPos": at, "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}}, "options": options, "links": []any{p.leads()},
	}
	if p.kind == table {
		out["transformations"] = []any{object{"id": "organize", "options": object{"excludeByName": object{"Time": true, "__name__": true}}}}
	}
	return out
}

func (p panel) leads() object {
	if strings.HasPrefix(p.link, "trunkline-") {
		return object{"title": "More", "url": "/d/" + p.link + "?${__url_time_range}&${datasource:queryparam}"}
	}
	return object{"title": "What it means", "url": docs + "/" + p.link, "targetBlank": true}
}
