package pbxsim_test

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"

	"trunkline/internal/pbxsim"
)

// stranger is a browser with cookies of its own.
func stranger(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Transport: &http.Transport{}, CheckRedirect: noRedirects}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestRemoteAccount(t *testing.T) {
	p := start(t, pbxsim.Config{})
	in := func(user, password string) (*visitor, error) {
		v := visit(t, p)
		v.CheckRedirect = noRedirects
		return v, pbxsim.SignIn(t.Context(), v.Client, p.URL(), user, password)
	}
	set := func(user, password string, want error) {
		t.Helper()
		if err := p.SetRemoteAccount(user, password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", user, err, want)
		}
	}
	isIn := func(v *visitor, want bool) {
		t.Helper()
		if res, _ := v.get("/"); (res.StatusCode == http.StatusOK) != want {
			t.Errorf("the dashboard answers %d", res.StatusCode)
		}
	}
	if _, err := in("", ""); err == nil {
		t.Error("nobody's name and password let in")
	}
	set("ROOT", "good enough", pbxsim.ErrSuperAdmin)
	set("amelia.NOVAK@example.com", "good enough", pbxsim.ErrExtension)
	set("Support", "good enough", pbxsim.ErrInUse)
	set("remote", "", pbxsim.ErrNoPassword)
	set("", "", nil) // there is none, and none to be
	set("remote", "good enough", nil)
	v, err := in("remote", "good enough")
	if err != nil {
		t.Fatal(err)
	}
	_, page := v.get("/")
	has(t, "dashboard", page, `<strong id="whoami">remote</strong>`, "Administrator")
	hasNot(t, "dashboard", page, "Super administrator")
	if res, _ := v.get("/oplog"); res.StatusCode != http.StatusForbidden {
		t.Errorf("the operation log answers an Administrator %d", res.StatusCode)
	}

	set("remote", "another one", nil)
	isIn(v, false)
	if _, err := in("remote", "good enough"); err == nil || !strings.Contains(err.Error(), "Wrong username") {
		t.Errorf("the password before: %v", err)
	}
	if v, err = in("remote", "another one"); err != nil {
		t.Fatal(err)
	}
	staff, err := in("support", "plain secret")
	if err != nil {
		t.Fatal(err)
	}
	set("other", "third of them", nil) // takes its place
	isIn(v, false)
	isIn(staff, true)
	if _, err := in("remote", "another one"); err == nil {
		t.Error("the account before lets in")
	}
	if v, err = in("other", "third of them"); err != nil {
		t.Fatal(err)
	}
	set("", "", nil)
	isIn(v, false)
	if _, err := in("other", "third of them"); err == nil {
		t.Error("an account that was taken away lets in")
	}
	var log []string
	for _, o := range p.Operations() {
		if o.Who == "this PBX" {
			log = append(log, o.What)
		}
		if strings.Contains(o.What, "third of them") {
			t.Error("the log has a password")
		}
	}
	if want := []string{"Made the remote account remote", "Changed the remote account remote to remote", "Changed the remote account remote to other", "Removed the remote account other"}; !slices.Equal(log, want) {
		t.Errorf("the log has %q", log)
	}
}

// Programs on the PBX reach it, and pages in a browser there do not.
func TestLocalDoor(t *testing.T) {
	p := start(t, pbxsim.Config{Local: "127.0.0.1:0"})
	order := func(text string) error {
		return pbxsim.OrderAccount(t.Context(), p.LocalURL(), strings.NewReader(text))
	}
	for text, want := range map[string]string{
		`{"version":1,"user":"root","password":"x"}`: "super administrator's name", `{"version":2,"user":"a","password":"x"}`: "none that the PBX knows",
		`{`: "none that", `{"version":1,"user":"` + strings.Repeat("x", 70<<10) + `"}`: "none that",
	} {
		if err := order(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	if err := order(`{"version":1,"user":"remote","password":"good enough","role":"administrator"}`); err != nil {
		t.Fatal(err)
	}
	if err := pbxsim.SignIn(t.Context(), stranger(t), p.URL(), "remote", "good enough"); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*http.Request){
		"a form":     func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"other host": func(r *http.Request) { r.Host = "rebound.example.com" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.LocalURL()+"/remote-account", strings.NewReader(`{"version":1}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		change(r)
		resp, err := stranger(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if res, _ := visit(t, p).post("/remote-account", nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("visitors reach it: %d", res.StatusCode)
	}
	if _, err := pbxsim.New(pbxsim.Config{Local: "0.0.0.0:0"}, nil); err == nil {
		t.Error("it listens to everybody")
	}
}
