package console_test

import (
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zaptest"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/control/store"
	"trunkline/control/store/storetest"
)

// besieged is a console over a real fleet and a real database.
type besieged struct {
	http.Handler
	t *testing.T
	estate
	db         *sql.DB
	invitation string
	tried      int
	everything string // the query for it
	last       string // dump
}

func besiege(t *testing.T) *besieged {
	t.Helper()
	path := filepath.Join(t.TempDir(), store.FileName)
	storetest.File(t, path)
	st := must(store.OpenSQLite(t.Context(), path, zaptest.NewLogger(t)))(t)
	t.Cleanup(func() { _ = st.Close() })
	db := must(sql.Open("sqlite", "file:"+path+"?mode=ro"))(t)
	t.Cleanup(func() { _ = db.Close() })
	f := realFleetOn(t, st)
	h := must(console.New(console.Options{Fleet: f, Zone: "relay.example", Port: ":8443"}))(t)
	e := settle(t, f, st, must(f.SignIn(t.Context(), goodEmail, goodSecret, remoteAddr))(t), "root")
	i := must(f.InviteUser(t.Context(), e.Principal, fleet.NewUser{Email: "invited@acme.example", Name: "Invited", Role: fleet.RoleAuditor}))(t)
	w := &besieged{Handler: h, t: t, estate: e, db: db, invitation: i.Token}
	w.last = w.dump()
	if n := strings.Count(w.last, "\n"); n < 15 {
		t.Fatalf("only %d rows on record: the look is broken", n)
	}
	return w
}

// dump is all that is on record but the log of what was tried.
func (w *besieged) dump() string {
	w.t.Helper()
	if w.everything == "" {
		var selects []string
		for _, table := range w.column(`SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%' AND name NOT LIKE 'audit%' AND name NOT LIKE 'sqlite_%'`) {
			columns := []string{"'" + table + "'"}
			for _, c := range w.column(`SELECT name FROM pragma_table_info('` + table + `')`) {
				columns = append(columns, `quote("`+c+`")`)
			}
			selects = append(selects, `SELECT `+strings.Join(columns, `||' '||`)+` AS r FROM "`+table+`"`)
		}
		w.everything = strings.Join(selects, " UNION ALL ") + " ORDER BY r"
	}
	return strings.Join(w.column(w.everything), "\n")
}

// kept fails if anything is on record now that was not at the last look.
func (w *besieged) kept(what string) {
	w.t.Helper()
	before := w.last
	if w.last = w.dump(); w.last != before {
		w.t.Errorf("%s: written:\n%s", what, cmp.Diff(before, w.last))
	}
}

func (w *besieged) column(query string) (out []string) {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// at is a route's path in the besieged account.
func (w *besieged) at(pattern string) string {
	_, path, _ := strings.Cut(pattern, " ")
	if strings.HasPrefix(path, "/invitation/") {
		return "/invitation/" + w.invitation
	}
	return w.ids.Replace(path)
}

func (w *besieged) send(target string, form url.Values, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	w.tried++
	return ask(w, http.MethodPost, target, form, append([]func(*http.Request){header("Cookie", "__Host-trunkline-session="+w.session)}, edit...)...)
}

// setBody has r send what is no form of a test's.
func setBody(r *http.Request, body string) {
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}
