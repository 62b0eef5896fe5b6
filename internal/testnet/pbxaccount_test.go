package testnet_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline/agent"
	"trunkline/internal/controlapi"
	"trunkline/internal/pbxsim"
	"trunkline/internal/testnet"
	"trunkline/internal/visitor"
)

// withDoor is a PBX that programs on it reach.
func withDoor(c *pbxsim.Config) { c.Local = "127.0.0.1:0" }

// tells has the agent tell portal of its account, by a program that any PBX with
// an HTTP API could have.
func tells(t *testing.T, portal *pbxsim.Portal) func(*agent.Config) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is needed: apt-get install curl")
	}
	return func(c *agent.Config) {
		c.Portal.Account.Command = []string{"/bin/sh", "-c",
			`exec curl --silent --fail-with-body --noproxy '*' -H 'Content-Type: application/json' --data-binary @- "$1/remote-account" >&2`, "sh", portal.LocalURL()}
	}
}

// staff is somebody of the PBX's at its page, who sets its account.
type staff struct {
	t    *testing.T
	http *http.Client
	page string
}

func atPage(t *testing.T, page string) staff {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := staff{t: t, page: strings.TrimSuffix(page, "/"), http: &http.Client{
		Jar: jar, Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(s.http.CloseIdleConnections)
	if status, body := s.post("/password", url.Values{"password": {pagePassword}, "again": {pagePassword}}); status != http.StatusSeeOther {
		t.Fatalf("the page's password: %d %s", status, body)
	}
	return s
}

func (s staff) post(path string, form url.Values) (status int, body string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.page+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// account saves the page with an account, and with the rest as the PBX has it.
func (s staff) account(p *testnet.PBX, user, password string) (status int, body string) {
	s.t.Helper()
	v, err := p.Desk.View(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return s.post("/save", url.Values{
		"server_type": {string(v.Type)}, "server": {v.Server}, "method": {string(v.Method)}, "email": {v.Email},
		"account_user": {user}, "account_password": {password}, "auto_logout": {"15"},
	})
}

func (s staff) saved(p *testnet.PBX, user, password string) {
	s.t.Helper()
	if status, body := s.account(p, user, password); status != http.StatusSeeOther {
		s.t.Fatalf("%q: %d %s", user, status, body)
	}
}

// The account that a PBX's staff set on its page lets the provider's in at the
// PBX's own sign-in page, as Administrator and until it is another one.
func TestAccountLogin(t *testing.T) {
	w := testnet.Start(t, nil)
	portal := w.Portal(withDoor)
	p := w.Activate("3631A20C0042", portal.URL())
	p.Configure(tells(t, portal))
	p.Run()
	p.AwaitStatus(controlapi.StatusConnected)
	s := atPage(t, p.Page)
	v := p.Visit()
	signIn := func(user, password string) error {
		return pbxsim.SignIn(t.Context(), v.Client, v.Origin, user, password)
	}
	isOut := func(when string) {
		t.Helper()
		if _, err := v.Fetch(t.Context(), "/events/system"); statusOf(err) != http.StatusUnauthorized {
			t.Errorf("%s: the session goes on: %v", when, err)
		}
	}

	if err := signIn("support", "first of all"); err == nil {
		t.Fatal("an account that nobody has made lets in")
	}
	s.saved(p, "support", "first of all")
	if err := signIn("support", "first of all"); err != nil {
		t.Fatal(err)
	}
	if page := fetch(t, v, "/"); !strings.Contains(page, `id="whoami">support<`) || !strings.Contains(page, "Administrator") || strings.Contains(page, "Super administrator") {
		t.Errorf("it is not the Administrator's page:\n%s", page)
	}
	if _, err := v.Fetch(t.Context(), "/oplog"); statusOf(err) != http.StatusForbidden {
		t.Errorf("what is the super administrator's: %v", err)
	}
	w.Eventually("the provider knows that there is one", func() error {
		d, err := w.API.Device(t.Context(), p.Device)
		if err == nil && (d.Logins == nil || !d.Logins.Account) {
			err = errors.New("not yet")
		}
		return err
	})

	s.saved(p, "support", "second of all")
	isOut("another password")
	if err := signIn("support", "first of all"); err == nil || !strings.Contains(err.Error(), "Wrong username or password") {
		t.Errorf("the password before: %v", err)
	}
	if err := signIn("support", "second of all"); err != nil {
		t.Fatal(err)
	}
	s.saved(p, "support", "") // nothing typed
	fetch(t, v, "/extensions")

	// Only the PBX knows its extensions here, and says so.
	status, body := s.account(p, "amelia.novak@example.com", "third of all")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "said: that is the e-mail address of an extension") || !strings.Contains(body, `aria-describedby="account_user-note"`) {
		t.Errorf("%d %s", status, body)
	}
	fetch(t, v, "/extensions")

	s.saved(p, "helpdesk", "third of all")
	isOut("another account")
	if err := signIn("support", "second of all"); err == nil {
		t.Error("the account before lets in")
	}
	if err := signIn("helpdesk", "third of all"); err != nil {
		t.Fatal(err)
	}
	s.saved(p, "", "")
	isOut("no account")
	if err := signIn("helpdesk", "third of all"); err == nil {
		t.Error("an account that was taken away lets in")
	}
	var log []string
	for _, o := range portal.Operations() {
		if o.Who == "this PBX" || strings.HasPrefix(o.What, "Signed in") {
			log = append(log, o.Who+": "+o.What)
		}
	}
	if want := []string{
		"this PBX: Made the remote account support", "support: Signed in as Administrator",
		"this PBX: Changed the remote account support to support", "support: Signed in as Administrator",
		"this PBX: Changed the remote account support to helpdesk", "helpdesk: Signed in as Administrator",
		"this PBX: Removed the remote account helpdesk",
	}; !slices.Equal(log, want) {
		t.Errorf("the PBX's log has\n%s", strings.Join(log, "\n"))
	}
}

// While the PBX takes its time, the page says so, and the rest of it goes on.
func TestAccountOfASlowPBX(t *testing.T) {
	w := testnet.Start(t, nil)
	p := w.Unbox("3631A20C0042", w.Portal(nil).URL())
	fifo := t.TempDir() + "/fifo"
	if err := exec.CommandContext(t.Context(), "mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	p.Configure(func(c *agent.Config) {
		c.Portal.Account.Command, c.Portal.Account.Timeout = []string{"/bin/sh", "-c", `read word <"$1"`, "sh", fifo}, 30*time.Second
	})
	p.Run()
	s := atPage(t, p.Page)
	done := make(chan int, 1)
	go func() {
		status, _ := s.account(p, "support", "first of all")
		done <- status
	}()
	w.Eventually("the page says that the PBX is being told", func() error {
		v, err := p.Desk.View(t.Context())
		if err == nil && v.AccountDoubt != "The PBX is being told of a change." {
			err = errors.New(v.AccountDoubt)
		}
		return err
	})
	if status, body := s.account(p, "helpdesk", "first of all"); status != http.StatusConflict || !strings.Contains(body, "another change") {
		t.Errorf("another change meanwhile: %d %s", status, body)
	}
	if status, _ := s.post("/access", url.Values{"to": {"off"}}); status != http.StatusSeeOther {
		t.Errorf("the door cannot be closed meanwhile: %d", status)
	}
	if err := exec.CommandContext(t.Context(), "sh", "-c", `echo done >"$1"`, "sh", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	if status := <-done; status != http.StatusSeeOther {
		t.Errorf("%d", status)
	}
	if v, err := p.Desk.View(t.Context()); err != nil || v.Account != "support" || v.AccountDoubt != "" || !v.Off {
		t.Errorf("%+v, %v", v, err)
	}
}

func statusOf(err error) int {
	var s *visitor.StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}
