package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// board is what Grafana reads of a dashboard's file.
type board struct {
	UID, Title, Description string
	SchemaVersion           int
	Templating              struct{ List []variable }
	Panels                  []drawn
}

type variable struct {
	Type, Name, Label, Definition string
	Query                         any
	Multi, IncludeAll             bool
	AllValue                      string
}

type drawn struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct {
		Defaults struct{ Unit, NoValue string }
	}
	Links   []struct{ Title, URL string }
	Targets []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ Type, UID string }
	}
}

func boards(t *testing.T) []board {
	t.Helper()
	var out []board
	for _, d := range all() {
		text, err := os.ReadFile(filepath.Join("json", d.uid+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatalf("%s: %v", d.uid, err)
		}
		out = append(out, b)
	}
	return out
}

// The units that Grafana knows and we use (grafana/packages/grafana-data/src/valueFormats/categories.ts).
var units = []string{"short", "none", "s", "dtdurations", "bytes", "Bps", "ops", "reqps", "percentunit", "bool_on_off"}

// The rules of grafana/dashboard-linter, as far as they are about what is here,
// and our own: each panel has a link, none lies on another.
func TestLint(t *testing.T) {
	uids := make(map[string]bool)
	for _, d := range all() {
		uids[d.uid] = true
	}
	for _, b := range boards(t) {
		bad := func(format string, args ...any) { t.Helper(); t.Errorf(b.UID+": "+format, args...) }
		if b.Title == "" || b.Description == "" || b.SchemaVersion < 36 {
			bad("title %q, description %q, schema %d", b.Title, b.Description, b.SchemaVersion)
		}
		lintVariables(b, bad)
		ids := make(map[int]bool)
		taken := make(map[[2]int]string)
		for _, p := range b.Panels {
			if ids[p.ID] {
				bad("two panels %d", p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if on := taken[[2]int{x, y}]; on != "" || x >= wide {
						bad("%s lies on %q or beside the page", p.Title, on)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type != "row" {
				lintPanel(p, uids, bad)
			}
		}
	}
}

func lintVariables(b board, bad func(string, ...any)) {
	var names []string
	for _, v := range b.Templating.List {
		names = append(names, v.Name)
		if v.Label == "" {
			bad("variable %s has no label", v.Name)
		}
		if v.Name == "job" && (!v.Multi || v.AllValue != ".+") {
			bad("job is to be chosen from, all of them too")
		}
	}
	if !slices.Equal(names, []string{"datasource", "job", "instance"}) {
		bad("variables %v", names)
	}
}

func lintPanel(p drawn, uids map[string]bool, bad func(string, ...any)) {
	switch {
	case p.Title == "" || p.Description == "" || !strings.HasSuffix(p.Description, "."):
		bad("%q: title and a description in whole sentences, not %q", p.Title, p.Description)
	case !slices.Contains(units, p.FieldConfig.Defaults.Unit):
		bad("%s: Grafana has no unit %q", p.Title, p.FieldConfig.Defaults.Unit)
	case p.FieldConfig.Defaults.NoValue == "":
		bad("%s: what stands there on an empty system?", p.Title)
	case p.Datasource.UID != "${datasource}":
		bad("%s: data source %q", p.Title, p.Datasource.UID)
	case len(p.Links) == 0 || len(p.Targets) == 0:
		bad("%s: no link or no query", p.Title)
	}
	for _, l := range p.Links {
		if why := deadLink(l.URL, uids); why != "" {
			bad("%s: %s", p.Title, why)
		}
	}
	for _, q := range p.Targets {
		for _, sel := range selectors.FindAllString(q.Expr, -1) {
			if !strings.Contains(sel, `job=~"$job"`) || !strings.Contains(sel, `instance=~"$instance"`) {
				bad("%s: %s does not select job and instance", p.Title, sel)
			}
		}
		if len(selectors.FindAllString(q.Expr, -1)) == 0 || strings.Count(q.Expr, "trunkline_")+strings.Count(q.Expr, "process_")+strings.Count(q.Expr, "go_") < 1 {
			bad("%s: no selector in %s", p.Title, q.Expr)
		}
		if strings.Contains(q.Expr, "rate(") && !strings.Contains(q.Expr, "[$__rate_interval]") {
			bad("%s: rates are over $__rate_interval", p.Title)
		}
		if q.LegendFormat == "" && p.Type != table || q.Datasource.UID != "${datasource}" {
			bad("%s: legend %q, data source %q", p.Title, q.LegendFormat, q.Datasource.UID)
		}
	}
}

var selectors = regexp.MustCompile(`(?:trunkline|process|go)_[a-z0-9_]+(?:\{[^}]*\})?`)

// deadLink says why a link leads nowhere, "" if it does not.
func deadLink(url string, uids map[string]bool) string {
	if uid, ok := strings.CutPrefix(url, "/d/"); ok {
		if uid, _, _ = strings.Cut(uid, "?"); !uids[uid] {
			return "there is no dashboard " + uid
		}
		return ""
	}
	page, anchor, _ := strings.Cut(strings.TrimPrefix(url, docs+"/"), "#")
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		return "there is no " + page
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		heading := strings.ToLower(strings.ReplaceAll(strings.TrimLeft(line, "# "), " ", "-"))
		if strings.HasPrefix(line, "#") && (anchor == "" || heading == anchor) {
			return ""
		}
	}
	return page + " has no heading " + anchor
}

// Grafana refuses a provisioning file with a key that it does not know.
func TestProvisioning(t *testing.T) {
	read := func(name string, into any) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("provisioning", name))
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(strings.NewReader(string(text)))
		d.KnownFields(true)
		if err := d.Decode(into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, Type, UID, URL, Access string
			IsDefault                    bool              `yaml:"isDefault"`
			JSONData                     map[string]string `yaml:"jsonData"`
		}
	}
	read("datasources/trunkline.yml", &sources)
	var providers struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, FolderUID, Type string
			DisableDeletion               bool `yaml:"disableDeletion"`
			AllowUIUpdates                bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds         int  `yaml:"updateIntervalSeconds"`
			Options                       map[string]string
		}
	}
	read("dashboards/trunkline.yml", &providers)
	if len(sources.Datasources) != 1 || sources.Datasources[0].Type != "prometheus" || len(providers.Providers) != 1 || providers.Providers[0].Options["path"] == "" {
		t.Errorf("%+v\n%+v", sources, providers)
	}
}
