//go:build unix

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline/agent"
	"trunkline/agent/manage"
	"trunkline/internal/fault"
)

// told is a PBX's program: it writes down what it is told, and then does what a
// test wants.
type told struct {
	w    *world
	dir  string
	then string // a file of shell
}

// newTold is a world whose agent tells a PBX, and runs.
func newTold(t *testing.T) *told {
	t.Helper()
	x := &told{w: newWorld(t), dir: t.TempDir()}
	x.then = filepath.Join(x.dir, "then")
	x.does("")
	x.w.configure = func(c *agent.Config) {
		c.Portal.Account.Command = []string{"/bin/sh", "-c", `cat >>"$1/words"; . "$1/then"`, "sh", x.dir}
		c.Portal.Account.Timeout = 2 * time.Second
		c.Device.SuperAdmin = "super"
	}
	x.w.run(identity())
	t.Cleanup(func() { x.w.stop() })
	return x
}

func (x *told) does(shell string) {
	x.w.t.Helper()
	if err := os.WriteFile(x.then, []byte(shell+"\n"), 0o600); err != nil {
		x.w.t.Fatal(err)
	}
}

func (x *told) set(user, password string) error {
	return x.w.agent.Change(x.w.t.Context(), manage.Change{Account: &manage.AccountChange{User: user, Password: password}})
}

// must sets what must be taken.
func (x *told) must(user, password string) {
	x.w.t.Helper()
	if err := x.set(user, password); err != nil {
		x.w.t.Fatal(err)
	}
}

// refused sets what must be refused.
func (x *told) refused(user, password string, code fault.Code, field, words string) {
	x.w.t.Helper()
	err := x.set(user, password)
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || f.Field != field || !strings.Contains(f.Message, words) || strings.Contains(f.Message, "argon2") {
		x.w.t.Errorf("%q: %v in %+v", user, err, f)
	}
}

// words are those since the last time, as JSON, without the version.
func (x *told) words() []string {
	x.w.t.Helper()
	path := filepath.Join(x.dir, "words")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		x.w.t.Fatal(err)
	}
	_ = os.Remove(path) // if it is there
	var all []string
	for l := range strings.Lines(string(b)) {
		all = append(all, strings.Replace(strings.TrimSpace(l), `"version":1,`, "", 1))
	}
	return all
}

func (x *told) heard(want ...string) {
	x.w.t.Helper()
	if got := x.words(); !slices.Equal(got, want) {
		x.w.t.Errorf("the PBX heard\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// shows is what the page shows: the account, and words of the doubt; "" for none.
func (x *told) shows(user, doubt string) {
	x.w.t.Helper()
	v, err := x.w.agent.View(x.w.t.Context())
	if err != nil || !v.AccountTold || v.Account != user || (v.AccountDoubt == "") != (doubt == "") || !strings.Contains(v.AccountDoubt, doubt) {
		x.w.t.Errorf("%q, %q, %v", v.Account, v.AccountDoubt, err)
	}
}

func (x *told) onDisk() (s manage.Settings) {
	x.w.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.w.data, "settings.json"))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		x.w.t.Fatal(err)
	}
	return s
}

// again is the agent after a restart.
func (x *told) again() {
	x.w.t.Helper()
	x.w.stop()
	x.w.start()
}

// The PBX hears of each change before it is one, and of nothing else.
func TestAccountIsTold(t *testing.T) {
	x := newTold(t)
	x.must("", "") // nothing there, and nothing to be
	x.heard()
	x.must("support", "first of all")
	x.heard(`{"user":"support","password":"first of all","role":"administrator"}`)
	x.must("support", "") // as the page has it, if nothing was typed
	on := true
	x.w.decide(manage.Change{Passwordless: &on})
	x.heard()
	x.must("support", "second one")
	x.heard(`{"user":"support","password":"second one","role":"administrator"}`)
	x.must("helpdesk", "third of all")
	x.heard(`{"user":"helpdesk","password":"third of all","role":"administrator","was":"support"}`)
	x.refused("super", "good enough", fault.Invalid, "account_user", "super administrator")
	x.refused("helpdesk", "short", fault.Invalid, "account_password", "at least")
	x.heard()
	x.shows("helpdesk", "")
	if s := x.onDisk(); !s.Account.Told || s.Doubt != nil || !manage.Matches(s.Account.Secret, "third of all") {
		t.Errorf("%+v", s)
	}
	x.again()
	x.shows("helpdesk", "")
	x.must("", "")
	x.heard(`{"user":"","was":"helpdesk"}`)
	x.shows("", "")
}

// What the PBX refuses is not saved, and what was there stays.
func TestAccountRefusedByThePBX(t *testing.T) {
	x := newTold(t)
	x.does(`echo "no room for accounts" >&2; exit 4`)
	x.refused("support", "first of all", fault.Unavailable, "account_user", "exit status 4 and said: no room for accounts")
	x.shows("", "")
	x.does("")
	x.must("support", "first of all")
	before := x.onDisk()
	x.does(`echo "too simple" >&2; exit 1`)
	x.refused("support", "second one", fault.Unavailable, "account_password", "too simple")
	x.refused("helpdesk", "second one", fault.Unavailable, "account_user", "too simple")
	x.refused("", "", fault.Unavailable, "account_user", "too simple")
	x.shows("support", "")
	if s := x.onDisk(); *s.Account != *before.Account || s.Doubt != nil {
		t.Errorf("%+v, want %+v", s.Account, before.Account)
	}
	// The rest of what was to be changed is not changed either, and nobody is connected.
	minutes := 99
	err := x.w.agent.Change(t.Context(), manage.Change{AutoLogout: &minutes, Account: &manage.AccountChange{User: "helpdesk", Password: "second one"},
		Connect: &manage.Activation{ServerType: manage.CustomServer, Server: "127.0.0.1:1", Method: manage.ByCode, Code: "AAAA", Model: "P560", Firmware: "1", Serial: "SN-0001"}})
	if f := (*fault.Error)(nil); !errors.As(err, &f) || f.Field != "account_user" || x.onDisk().AutoLogout == minutes {
		t.Errorf("%v, %+v", err, x.onDisk())
	}
}

// A PBX of which nobody knows what it has: that is shown until somebody says
// again what is to be, also after a restart, and then it hears all names.
func TestAccountInDoubt(t *testing.T) {
	x := newTold(t)
	x.must("support", "first of all")
	x.does("sleep 300")
	x.refused("helpdesk", "second one", fault.Unavailable, "account_user", "not certain")
	x.shows("support", "(helpdesk)")
	x.refused("", "", fault.Unavailable, "account_user", "not certain")
	x.words()
	x.again()
	x.shows("support", "(helpdesk)")
	x.does("exit 1")
	x.refused("third", "third of all", fault.Unavailable, "account_user", "has not taken")
	x.shows("support", "(helpdesk)") // the PBX has not changed since
	x.heard(`{"user":"third","password":"third of all","role":"administrator","was":"support","doubt":["helpdesk"]}`)
	x.does("")
	x.must("support", "") // as the page has it, if only something else is changed
	x.heard()
	x.shows("support", "(helpdesk)")
	x.must("support", "first of all")
	x.heard(`{"user":"support","password":"first of all","role":"administrator","doubt":["helpdesk"]}`)
	x.shows("support", "")

	x.must("", "")
	x.does("kill -9 $$")
	x.refused("first", "good enough", fault.Unavailable, "account_user", "not certain")
	x.shows("", "(first)")
	x.words()
	x.does("")
	x.must("", "")
	x.heard(`{"user":"","doubt":["first"]}`)
	x.shows("", "")

	x.does("kill -9 $$")
	for i := range manage.MaxDoubt {
		x.refused("user"+string(rune('a'+i)), "good enough", fault.Unavailable, "account_user", "not certain")
	}
	x.words()
	x.refused("one more", "good enough", fault.Unavailable, "account_user", "Take the account away first")
	x.heard()
	x.again()
	x.does("")
	x.must("", "")
	x.shows("", "")
}

// A disk that is full refuses before the PBX hears anything; one that fails
// afterwards leaves a doubt, and the same again repairs it.
func TestAccountAndADiskThatFails(t *testing.T) {
	x := newTold(t)
	x.must("support", "first of all")
	x.words()
	fresh := filepath.Join(x.w.data, ".settings.json.new") // a directory there is a disk that takes nothing
	fails := func() {
		t.Helper()
		if err := os.Mkdir(fresh, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mends := func() {
		t.Helper()
		if err := os.Remove(fresh); err != nil {
			t.Fatal(err)
		}
	}
	fails()
	x.refused("helpdesk", "second one", fault.Unavailable, "", "could not be stored")
	x.heard()
	x.shows("support", "")
	mends()

	x.does(`mkdir "` + fresh + `"`)
	x.refused("helpdesk", "second one", fault.Unavailable, "account_user", "The PBX has been told")
	x.shows("support", "(helpdesk)")
	mends()
	x.again() // as after a crash between the two
	x.shows("support", "(helpdesk)")
	x.does("")
	x.words()
	x.must("helpdesk", "second one")
	x.heard(`{"user":"helpdesk","password":"second one","role":"administrator","was":"support"}`)
	x.shows("helpdesk", "")
}

// Settings that got lost leave a PBX that may have any account: to say that
// there is none is then a change.
func TestAccountOfLostSettings(t *testing.T) {
	x := newTold(t)
	x.must("support", "first of all")
	x.words()
	x.w.stop()
	if err := os.WriteFile(filepath.Join(x.w.data, "settings.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.w.start()
	x.shows("", "or none")
	x.must("", "")
	x.heard(`{"user":""}`)
	x.shows("", "")
}

// An account that was only agreed, before there was a command, is one the PBX
// has not heard of.
func TestAccountFromBeforeTheCommand(t *testing.T) {
	x := newTold(t)
	tells := x.w.configure
	x.w.configure = nil
	x.again()
	x.must("support", "first of all")
	x.heard()
	if v, err := x.w.agent.View(t.Context()); err != nil || v.AccountTold || v.Account != "support" || v.AccountDoubt != "" {
		t.Errorf("%+v, %v", v, err)
	}
	x.w.configure = tells
	x.again()
	x.shows("support", "has not been told")
	x.must("support", "first of all")
	x.heard(`{"user":"support","password":"first of all","role":"administrator"}`)
	x.shows("support", "")
}

// One change at a time: what comes meanwhile is refused, and what is kept in the
// end is what the PBX heard last.
func TestAccountsAtOnce(t *testing.T) {
	x := newTold(t)
	x.does(`mkdir "$1/busy" || exit 9; sleep 0.1; rmdir "$1/busy"`)
	const n = 12
	var done sync.WaitGroup
	var mu sync.Mutex
	taken := map[string]bool{}
	for i := range n {
		done.Go(func() {
			user := "user" + string(rune('a'+i))
			err := x.set(user, "good enough")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken[user] = true
			} else if fault.CodeOf(err) != fault.InProgress {
				t.Error(err)
			}
		})
	}
	done.Wait()
	words := x.words()
	if len(words) != len(taken) || len(taken) == 0 {
		t.Fatalf("%d were taken, and the PBX heard %q", len(taken), words)
	}
	s := x.onDisk()
	if !strings.HasPrefix(words[len(words)-1], `{"user":"`+s.Account.User+`"`) || !taken[s.Account.User] || s.Doubt != nil {
		t.Errorf("%+v is kept, and the PBX heard %q", s.Account, words)
	}
}

// Whoever asked may go away: the PBX is told to the end, and it is kept.
func TestAccountWhoseAskerLeaves(t *testing.T) {
	x := newTold(t)
	x.does("sleep 0.1")
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := x.w.agent.Change(ctx, manage.Change{Account: &manage.AccountChange{User: "support", Password: "first of all"}}); err != nil {
		t.Fatal(err)
	}
	x.shows("support", "")
}
