package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline/control/fleet"
)

//go:embed templates
var templateFiles embed.FS

type pageTemplate = *template.Template

// page is what the layout shows around Data.
type page struct {
	Title  string
	Nav    string // the current entry of the navigation
	Who    *who   // nil: nobody is signed in
	Live   string // where the page's event stream is; "" if it has none
	Poll   int    // seconds between refreshes that no stream asks for; 0: none
	Script string // a script of this page only
	Notice string
	Data   any

	Version string
	Now     time.Time
}

// How often a page looks again, in seconds.
const (
	slowPoll = 20  // that hears of nothing, or not of everything
	rarePoll = 300 // for the licence alone, of which no stream tells
)

// who is the header's right-hand side.
type who struct {
	Name, Email, Role, Account string
	Plan                       *plan
	Audit                      bool   // offer the audit log
	Relays                     bool   // offer the relays
	People                     bool   // offer users, roles and resellers
	Resells                    bool   // it has accounts below
	Warning                    string // of the licence, on every page
}

type plan struct {
	Status, StatusKey string
	Used, Connections int
	Left              int
	Full              bool
	Expires           string
}

// loadPages parses every page with the layout and the parts that pages share.
func (c *console) loadPages() (map[string]pageTemplate, error) {
	base, err := template.New("").Funcs(c.funcs()).ParseFS(templateFiles, "templates/shared/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse layout: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	pages := map[string]pageTemplate{"": base}
	for _, n := range names {
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, n)
		if err != nil {
			return nil, fmt.Errorf("parse page: %w", err)
		}
		pages[strings.TrimSuffix(strings.TrimPrefix(n, "templates/"), ".html")] = t
	}
	return pages, nil
}

// show renders a page for a signed-in person and sends it.
func (c *console) show(w *response, r *http.Request, p fleet.Principal, status int, name string, v page) error {
	v.Who = c.whoIs(r, p)
	b, err := c.render(name, v)
	if err != nil {
		return err
	}
	return w.send(status, b)
}

// render makes the whole page before a byte is sent, so that a mistake in a
// template is an error page and not half a page.
func (c *console) render(name string, v page) (*bytes.Buffer, error) {
	v.Version, v.Now = c.o.Version, c.now()
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", v); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return &b, nil
}

// part renders one of the shared parts, for the event stream.
func (c *console) part(name string, data any) (string, error) {
	var b strings.Builder
	if err := c.pages[""].ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
}

// whoIs never fails a page: without the subscription the header shows less.
func (c *console) whoIs(r *http.Request, p fleet.Principal) *who {
	if p.User == "" {
		return nil
	}
	me := &who{Name: p.Name, Email: p.Email, Role: string(p.Role), Audit: offersAudit(p), People: offersPeople(p) || p.Role == fleet.RoleAuditor}
	if me.Name == "" {
		me.Name = p.Email
	}
	s, err := c.o.Fleet.Subscription(r.Context(), p)
	if err != nil {
		if r.Context().Err() == nil {
			c.log.Warn("subscription for the header", zap.Error(err))
		}
		return me
	}
	me.Account, me.Warning, me.Resells = s.Holder, s.Warning, s.Allotted > 0 || s.ResellersUsed > 0
	me.Relays = s.Root && manages(p.Role)
	me.Plan = &plan{
		Status: s.Status, StatusKey: planKeys[s.Status], Used: s.Used, Connections: s.Connections,
		Left: max(0, s.Connections-s.Used-s.Allotted), Full: s.Used+s.Allotted >= s.Connections,
	}
	if !s.Expires.IsZero() {
		me.Plan.Expires = s.Expires.UTC().Format("2006-01-02")
	}
	return me
}

var planKeys = map[string]string{"Subscribed": "good", "Trial": "note", "Not Subscribed": "bad"}
