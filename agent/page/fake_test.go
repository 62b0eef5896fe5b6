package page_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline/agent/manage"
	"trunkline/agent/page"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

const password = "correct horse"

// desk is a PBX whose settings change as the real ones do, and which connects
// to whoever knows the password "right".
type desk struct {
	mu       sync.Mutex
	view     manage.View
	settings manage.Settings
	changes  []manage.Change
	ended    []id.Visit
	connect  func(manage.Activation) error
}

func newDesk() *desk {
	return &desk{
		view: manage.View{
			Status: manage.Status{State: manage.NotActivated, Reason: "this PBX is not connected to a provider yet", Since: time.Now()},
			Type:   manage.CustomServer, Method: manage.ByEmail, AutoLogout: 15,
			Serial: manage.Fact{Value: "3631A20C0042", Configured: true}, Model: manage.Fact{Value: "P560"},
		},
		settings: manage.DefaultSettings(),
		connect: func(q manage.Activation) error {
			if q.Password != "right" && q.Code == "" {
				return fault.New(fault.Rejected, "The e-mail address or the password is wrong.")
			}
			return nil
		},
	}
}

func (d *desk) View(context.Context) (manage.View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view, nil
}

func (d *desk) Change(_ context.Context, c manage.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := c.Apply(d.settings, manage.Names{SuperAdmin: "super"}, time.Now())
	if err != nil {
		return err
	}
	if q := c.Connect; q != nil {
		q.Serial = id.Serial(d.view.Serial.Value)
		if err := q.Check(); err != nil {
			return err
		}
		if err := d.connect(*q); err != nil {
			return err
		}
		d.view.Type, d.view.Server, d.view.Method, d.view.Email = q.ServerType, q.Server, q.Method, q.Email
		d.view.Status = manage.Status{State: manage.Connected, Since: time.Now(), Account: "ACME", Server: q.Server, Device: "dev_0123456789abcdef"}
	}
	d.settings, d.changes = s, append(d.changes, c)
	d.view.Off, d.view.AutoLogout, d.view.Passwordless, d.view.Account = s.Off, s.AutoLogout, s.Passwordless, ""
	if s.Account != nil {
		d.view.Account = s.Account.User
	}
	return nil
}

func (d *desk) EndVisit(_ context.Context, v id.Visit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, x := range d.view.Now {
		if x.ID == v {
			d.ended = append(d.ended, v)
			x.To = time.Now()
			d.view.Now = append(d.view.Now[:i:i], d.view.Now[i+1:]...)
			d.view.Past = append([]manage.Visit{x}, d.view.Past...)
			return nil
		}
	}
	return fault.New(fault.NotFound, "There is no such visit.")
}

func (d *desk) ResetPage(context.Context) error { return nil }

func (d *desk) set(f func(*manage.View)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.view)
}

func (d *desk) changed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.changes)
}

// world is a page that serves.
type world struct {
	t    *testing.T
	desk *desk
	page *page.Page
	base string

	mu     sync.Mutex
	hash   string
	broken error // of the password's file
}

func newWorld(t *testing.T, hosts ...string) *world {
	t.Helper()
	w := &world{t: t, desk: newDesk()}
	var err error
	w.page, err = page.New(page.Config{Listen: "127.0.0.1:0", Hosts: hosts}, w.desk, page.Password{
		Load: func() (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.hash, w.broken
		},
		Store: func(h string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.hash = h
			return nil
		},
	}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	w.base = strings.TrimSuffix(w.page.URL(), "/")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.page.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// browser keeps cookies and does not follow redirects.
func (w *world) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.t.Cleanup(c.CloseIdleConnections)
	return c
}

// inside is a browser that has signed in.
func (w *world) inside() *http.Client {
	w.t.Helper()
	c := w.browser()
	w.mu.Lock()
	first := w.hash == ""
	w.mu.Unlock()
	path, form := "/sign-in", url.Values{"password": {password}}
	if first {
		path, form = "/password", url.Values{"password": {password}, "again": {password}}
	}
	if a := w.post(c, path, form); a.status != http.StatusSeeOther {
		w.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return c
}

type answer struct {
	status int
	head   http.Header
	body   string
}

func (w *world) get(c *http.Client, path string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.base+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(c, r)
}

func (w *world) post(c *http.Client, path string, form url.Values) answer {
	w.t.Helper()
	return w.do(c, w.form(path, form))
}

func (w *world) form(path string, form url.Values) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (w *world) do(c *http.Client, r *http.Request) answer {
	w.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, resp.Body); err != nil && !errors.Is(err, context.Canceled) {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b.String()}
}

// filled is the form as a browser sends it.
func filled(change func(url.Values)) url.Values {
	f := url.Values{
		"server_type": {"custom"}, "server": {"console.example.com"}, "method": {"email"}, "email": {"tech@example.com"}, "password": {"right"},
		"code": {""}, "model": {"P560"}, "firmware": {"37.19.0.110"}, "ca": {""}, "account_user": {""}, "account_password": {""}, "auto_logout": {"15"},
	}
	if change != nil {
		change(f)
	}
	return f
}
