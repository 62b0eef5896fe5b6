package pbxsim

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	perPage  = 20
	maxName  = 64
	maxPages = 10000
)

// view is what a template gets; Data is the page's own.
type view struct {
	Title, Page           string
	Session               *session // nil: not signed in
	CSRF                  string
	Name, Message, Notice string
	Next                  string
	Serial, Model         string
	Firmware, PBX, Part   string
	Uptime                string
	Data                  any
}

var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.New("").Funcs(template.FuncMap{
		"clock":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
		"talk":   func(d time.Duration) string { return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60) },
		"mb":     func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) },
		"direct": arrow,
		"device": func(s string) string { return deviceIcons[s] },
		"nav": func(current, page, path, icon, label string) map[string]string {
			return map[string]string{"Current": current, "Page": page, "Path": path, "Icon": icon, "Label": label}
		},
		"stock": func(s string) bool { n, err := strconv.Atoi(s); return err == nil && n > 1000 && n <= 1000+len(people) },
	}).ParseFS(web, "web/html/layout.html"))
	all := make(map[string]*template.Template)
	for _, name := range []string{"login", "refused", "dashboard", "extensions", "trunks", "calls", "cdr", "recordings", "maintenance", "oplog"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(web, "web/html/"+name+".html"))
	}
	return all
})

// arrow is the icon of a call's direction.
func arrow(c cdr) string {
	switch {
	case c.Talk == 0:
		return "missed-red"
	case c.Direction == "inbound":
		return "inbound-green"
	case c.Direction == "outbound":
		return "outbound-blue"
	}
	return "internal-violet"
}

func (p *Portal) render(w http.ResponseWriter, status int, page string, v view) {
	v.Page, v.Serial, v.Model, v.Firmware, v.PBX = page, p.cfg.Serial, p.cfg.Model, p.cfg.Firmware, p.cfg.Name
	v.Part = p.Part()
	up := time.Since(p.pbx.started) + 19*24*time.Hour // it looks as if it had been up for long
	v.Uptime = fmt.Sprintf("%d days, %d:%02d", int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60)
	var b bytes.Buffer
	if err := templates()[page].ExecuteTemplate(&b, "layout", v); err != nil {
		p.log.Error("portal page", zap.String("page", page), zap.Error(err))
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (p *Portal) refuse(w http.ResponseWriter, r *http.Request, status int, title, message string) {
	v := view{Title: title, Message: message, Data: status}
	if s, ok := p.sessionOf(r); ok && status != http.StatusMisdirectedRequest {
		v.Session, v.CSRF = &s, s.CSRF
	}
	p.render(w, status, "refused", v)
}

func (p *Portal) show(w http.ResponseWriter, r *http.Request, s session, page, title string, data any) {
	p.ops.add(r, s.Who(), "Viewed "+title)
	p.render(w, http.StatusOK, page, view{Title: title, Session: &s, CSRF: s.CSRF, Data: data, Notice: notices[r.URL.Query().Get("done")]})
}

// notices are what a page says after a form: chosen by the redirect, never spelt by it.
var notices = map[string]string{"renamed": "The extension was renamed."}

func (p *Portal) dashboard(w http.ResponseWriter, r *http.Request, s session) {
	ext := p.pbx.list()
	up := 0
	for _, t := range p.pbx.trunks {
		if t.State != "down" {
			up++
		}
	}
	p.show(w, r, s, "dashboard", "Dashboard", map[string]any{
		"Registered": online(ext), "Extensions": len(ext), "TrunksUp": up, "Trunks": len(p.pbx.trunks),
		"Table": ext[:12], "Recent": p.pbx.cdrs[:9], "Active": len(callsAt(time.Now().Unix())),
	})
}

func online(all []extension) (n int) {
	for _, e := range all {
		if e.Presence != "offline" {
			n++
		}
	}
	return n
}

func (p *Portal) extensionsPage(w http.ResponseWriter, r *http.Request, s session) {
	all := p.pbx.list()
	find := clip(r.URL.Query().Get("q"), maxName)
	found := slices.DeleteFunc(slices.Clone(all), func(e extension) bool {
		return !strings.Contains(strings.ToLower(e.Number+" "+e.Name+" "+e.Email), strings.ToLower(find))
	})
	rows, pg := page(found, r)
	p.show(w, r, s, "extensions", "Extensions", map[string]any{
		"Rows": rows, "Paging": pg, "Find": find, "Registered": online(all), "Total": len(all),
	})
}

func (p *Portal) renameExtension(w http.ResponseWriter, r *http.Request, s session) {
	name := strings.TrimSpace(clip(r.PostFormValue("name"), maxName))
	number := r.PathValue("number")
	if name == "" || !p.pbx.rename(number, name) {
		p.refuse(w, r, http.StatusBadRequest, "Nothing was changed", "The extension does not exist, or the name is empty.")
		return
	}
	p.ops.add(r, s.Who(), "Renamed extension "+number)
	http.Redirect(w, r, p.absolute(r, "/extensions?done=renamed"), http.StatusSeeOther)
}

func (p *Portal) trunksPage(w http.ResponseWriter, r *http.Request, s session) {
	p.show(w, r, s, "trunks", "Trunks", p.pbx.trunks)
}

func (p *Portal) callsPage(w http.ResponseWriter, r *http.Request, s session) {
	p.show(w, r, s, "calls", "Call monitor", nil)
}

func (p *Portal) cdrPage(w http.ResponseWriter, r *http.Request, s session) {
	rows, pg := page(p.pbx.cdrs, r)
	p.show(w, r, s, "cdr", "Call detail records", map[string]any{"Rows": rows, "Paging": pg})
}

func (p *Portal) recordingsPage(w http.ResponseWriter, r *http.Request, s session) {
	rows, pg := page(p.pbx.recordings(), r)
	p.show(w, r, s, "recordings", "Recordings", map[string]any{"Rows": rows, "Paging": pg})
}

func (p *Portal) maintenancePage(w http.ResponseWriter, r *http.Request, s session) {
	p.show(w, r, s, "maintenance", "Maintenance", nil)
}

func (p *Portal) oplogPage(w http.ResponseWriter, r *http.Request, s session) {
	if !s.Super() {
		p.ops.add(r, s.Who(), "Refused: operation logs")
		p.refuse(w, r, http.StatusForbidden, "No permission", "Operation logs are for the super administrator.")
		return
	}
	ops := p.ops.list()
	slices.Reverse(ops)
	rows, pg := page(ops, r)
	p.show(w, r, s, "oplog", "Operation logs", map[string]any{"Rows": rows, "Paging": pg})
}

// paging is where in a list a page is; numbers count from 1.
type paging struct{ Page, Pages, First, Last, Total, Prev, Next int }

// page cuts one page of rows; a page that is not there is the nearest that is.
func page[T any](all []T, r *http.Request) ([]T, paging) {
	n, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		n = 1
	}
	pages := max(1, min(maxPages, (len(all)+perPage-1)/perPage))
	n = max(1, min(n, pages))
	from, to := (n-1)*perPage, min(n*perPage, len(all))
	pg := paging{Page: n, Pages: pages, First: min(from+1, len(all)), Last: to, Total: len(all), Prev: n - 1}
	if n < pages {
		pg.Next = n + 1
	}
	return all[from:to], pg
}
