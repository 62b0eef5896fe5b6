package local_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"trunkline/agent/local"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

type desk struct {
	change func(manage.Change) error
	ended  id.Visit
	resets int
}

func (d *desk) View(context.Context) (manage.View, error) {
	return manage.View{Account: "remote", Status: manage.Status{State: manage.NotActivated}}, nil
}
func (d *desk) Change(_ context.Context, c manage.Change) error { return d.change(c) }
func (d *desk) EndVisit(_ context.Context, v id.Visit) error    { d.ended = v; return nil }
func (d *desk) ResetPage(context.Context) error                 { d.resets++; return nil }

func serve(t *testing.T, d manage.Desk) local.Line {
	t.Helper()
	s, err := local.Listen(d, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.Line()
}

// What the client is asked, the desk is, with its refusals.
func TestCalls(t *testing.T) {
	var got manage.Change
	d := &desk{change: func(c manage.Change) error {
		got = c
		if c.AutoLogout != nil {
			return fault.New(fault.Invalid, "Too long.").In("auto_logout")
		}
		return nil
	}}
	c, err := local.Dial(t.Context(), serve(t, d))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.View(t.Context()); err != nil || v.Account != "remote" || v.Status.State != manage.NotActivated {
		t.Errorf("%+v, %v", v, err)
	}
	off := false
	if err := c.Change(t.Context(), manage.Change{On: &off, Connect: &manage.Activation{Server: "x", Password: "p"}}); err != nil || got.On == nil || *got.On || got.Connect.Password != "p" {
		t.Errorf("%+v, %v", got, err)
	}
	n := 500
	var f *fault.Error
	if err := c.Change(t.Context(), manage.Change{AutoLogout: &n}); !errors.As(err, &f) || f.Code != fault.Invalid || f.Field != "auto_logout" {
		t.Errorf("%v", err)
	}
	v := id.NewVisit()
	if err := errors.Join(c.EndVisit(t.Context(), v), c.ResetPage(t.Context())); err != nil || d.ended != v || d.resets != 1 {
		t.Errorf("%v, %q, %d", err, d.ended, d.resets)
	}
}

// Without the token nothing is said or done; who does not know it is not told it.
func TestToken(t *testing.T) {
	d := &desk{change: func(manage.Change) error { t.Error("changed"); return nil }}
	l := serve(t, d)
	for _, token := range []string{"", "x", l.Token[:len(l.Token)-1], l.Token + "0", strings.ToUpper(l.Token)} {
		if _, err := local.Dial(t.Context(), local.Line{Address: l.Address, Token: token}); !errors.Is(err, local.ErrNobody) {
			t.Errorf("%q: %v", token, err)
		}
		for _, path := range []string{"/view", "/change", "/end-visit", "/reset-page"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Address+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, token, resp.StatusCode)
			}
		}
	}
	var heard bytes.Buffer
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.Header.Write(&heard)
		_, _ = io.Copy(&heard, r.Body)
		_, _ = io.WriteString(w, `{"proof":"00"}`)
	}))
	defer stranger.Close()
	l.Address = stranger.Listener.Addr().String()
	if _, err := local.Dial(t.Context(), l); !errors.Is(err, local.ErrNobody) {
		t.Errorf("%v", err)
	}
	if heard.Len() == 0 || strings.Contains(heard.String(), l.Token) {
		t.Errorf("a stranger heard %q", heard.String())
	}
	for _, a := range []string{"", "127.0.0.1:1", "192.0.2.1:80", "example.com:80"} {
		if _, err := local.Dial(t.Context(), local.Line{Address: a, Token: l.Token}); !errors.Is(err, local.ErrNobody) {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	l := serve(t, &desk{change: func(manage.Change) error { t.Error("changed"); return nil }})
	for path, body := range map[string]string{
		"/hello": `{"nonce":"` + strings.Repeat("x", 129) + `"}`, "/change": `{"on":"maybe"}`, "/view": `[`, "/end-visit": `{"visit":"../x"}`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+l.Token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}
