package console_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"trunkline/control/console"
	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

const (
	goodToken  = "good-session-token"
	goodEmail  = "ada@acme.example"
	goodSecret = "correct horse"
	handover   = "HandoverSecretHandoverSecretHandoverSecret1"
)

var _ console.Fleet = (*fleet.Fleet)(nil)

// noon is the time in all tests without a clock of their own.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fake is a fleet of one account, kept in memory. fail makes the method of
// that name err.
type fake struct {
	mu       sync.Mutex
	who      fleet.Principal
	devices  []fleet.Device
	visits   []fleet.Visit
	audit    []fleet.AuditEntry
	sub      fleet.Subscription
	groups   []fleet.Group
	relays   []fleet.Relay
	tokens   []fleet.APIToken     // nil: some
	events   []fleet.StatusChange // of every device; nil: some
	given    fleet.Access         // to a role, last
	unknown  time.Time            // since when the bus is away
	fail     map[string]error
	live     map[string]bool // tokens of sessions
	signedIn int
	calls    []string
	watchers []chan fleet.DeviceEvent
	watched  []fleet.Watched
	siteURL  string // where visits lead; "": the site's usual address
}

func newFake() *fake {
	return &fake{
		who:  fleet.Principal{User: "usr_0000000000000001", Account: "acc_0000000000000001", Email: goodEmail, Name: "Ada Lovelace", Role: fleet.RoleAdmin, Access: fleet.Access{Default: fleet.AllRights}},
		sub:  fleet.Subscription{Status: "Trial", Holder: "ACME Telecom", Connections: 25, Used: 3},
		fail: map[string]error{}, live: map[string]bool{goodToken: true},
	}
}

func deviceID(n int) id.Device { return id.Device(fmt.Sprintf("dev_%016d", n)) }
func visitID(n int) id.Visit   { return id.Visit(fmt.Sprintf("vis_%016d", n)) }

func device(n int, name string) fleet.Device {
	return fleet.Device{
		ID: deviceID(n), Account: "acc_0000000000000001", Site: id.Site(fmt.Sprintf("pbx-%08d", n)), Serial: id.Serial(fmt.Sprintf("36921%05d", n)),
		Name: name, Model: "P560", Firmware: "37.19.0.110", Activated: noon.AddDate(0, -2, 0),
		Presence: fleet.Presence{
			Status: fleet.StatusConnected, Since: noon.Add(-2 * time.Hour), Relay: "relay-1", Remote: "198.51.100.7:40112", Agent: "1.0.0",
		},
	}
}

// sample has each thing once.
func sample() *fake {
	f := newFake()
	a, b, c := device(1, "Harbour Hotel"), device(2, "Northside Clinic"), device(3, "Old Mill Brewery")
	b.Model, b.Firmware = "P-Series Software Edition", "83.19.0.110"
	b.Presence = fleet.Presence{Status: fleet.StatusDisconnected, Reason: fault.PeerSilent, Since: noon.Add(-12 * time.Minute)}
	c.Presence = fleet.Presence{Status: fleet.StatusNever}
	c.Activated = noon.Add(-26 * time.Hour)
	f.devices = []fleet.Device{a, b, c}
	f.groups = []fleet.Group{{ID: groupID(1), Name: "North", Devices: 2}, {ID: groupID(2), Name: "South <coast>"}}
	v := func(n int, d fleet.Device, started time.Time) fleet.Visit {
		return fleet.Visit{
			Visit: token.Visit{
				ID: visitID(n), Site: d.Site, Device: d.ID, User: f.who.User, Who: "Ada Lovelace <ada@acme.example>", Method: token.MethodAccount,
				Started: started, Expires: started.Add(token.VisitLife), Idle: 15 * time.Minute,
			},
			DeviceName: d.Name, Opened: started.Add(2 * time.Second), Remote: "203.0.113.9", Requests: 1234, BytesIn: 48_200, BytesOut: 7_340_032,
		}
	}
	on, past, never := v(1, a, noon.Add(-20*time.Minute)), v(2, b, noon.Add(-3*time.Hour)), v(3, a, noon.Add(-4*time.Hour))
	past.Ended, past.EndCode = noon.Add(-150*time.Minute), fault.VisitEnded
	never.Opened, never.Requests, never.Remote = time.Time{}, 0, ""
	never.Ended, never.EndCode = never.Started.Add(token.HandoverTTL), fault.HandoverInvalid
	f.visits = []fleet.Visit{on, past, never}
	f.relays = []fleet.Relay{
		{Name: "relay-1", Region: "eu", Version: "1.0.0", Labels: map[string]string{"rack": "4", "site": "<i>Frankfurt</i>"}, Load: bus.Load{Tunnels: 812, TunnelsMax: 50_000, CPU: .25},
			State: fleet.RelayReady, Since: noon.Add(-26 * time.Hour), Seen: noon.Add(-time.Second)},
		{Name: "relay-2", Region: "eu", Version: "1.0.0", Load: bus.Load{Tunnels: 1000, TunnelsMax: 1000, CPU: .99}, State: fleet.RelayDraining, Since: noon.Add(-time.Minute), Seen: noon},
		{Name: "relay-3", State: fleet.RelaySilent, Since: noon.Add(-3 * time.Minute), Seen: noon.Add(-3 * time.Minute)},
		{Name: "relay-4", State: fleet.RelayStopped, Since: noon.Add(-time.Hour), Seen: noon.Add(-time.Hour)},
	}
	f.audit = []fleet.AuditEntry{
		{Seq: 4, At: noon.Add(-20 * time.Minute), Actor: goodEmail, Remote: "203.0.113.9", Action: "visit_start", Object: "PBX Harbour Hotel (3692100001)", Outcome: "ok"},
		{Seq: 3, At: noon.Add(-time.Hour), Remote: "192.0.2.66", Action: "sign_in", Outcome: "wrong_login", Detail: "for eve@acme.example"},
		{Seq: 2, At: noon.Add(-26 * time.Hour), Actor: "device 3692100003", Remote: "198.51.100.8", Action: "activate", Object: "PBX Old Mill Brewery (3692100003)", Outcome: "ok"},
		{Seq: 1, At: noon.Add(-27 * time.Hour), Actor: goodEmail, Action: "licence_upload", Outcome: "ok"},
	}
	return f
}

func (f *fake) called(method string) error {
	f.calls = append(f.calls, method)
	return f.fail[method]
}

func (f *fake) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == method {
			n++
		}
	}
	return n
}

func (f *fake) SignIn(_ context.Context, email, password string, _ netip.Addr) (fleet.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("SignIn"); err != nil {
		return fleet.Session{}, err
	}
	if email != goodEmail || password != goodSecret {
		return fleet.Session{}, fault.New(fault.WrongLogin, "The e-mail or the password is wrong.")
	}
	f.signedIn++
	t := "session-" + strconv.Itoa(f.signedIn)
	f.live[t] = true
	return fleet.Session{Token: t, User: fleet.User{ID: f.who.User}}, nil
}

func (f *fake) Authenticate(_ context.Context, t string) (fleet.Principal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called("Authenticate"); err != nil {
		return fleet.Principal{}, err
	}
	if !f.live[t] {
		return fleet.Principal{}, fault.New(fault.SignInNeeded, "The session is over.")
	}
	p := f.who
	p.Session = t
	return p, nil
}

func (f *fake) SignOut(_ context.Context, p fleet.Principal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.live, p.Session)
	return f.called("SignOut")
}

func (f *fake) Devices(_ context.Context, _ fleet.Principal, q fleet.DeviceQuery) (fleet.Page[fleet.Device], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []fleet.Device
	for _, d := range f.devices {
		text := strings.ToLower(d.Name + " " + string(d.Serial) + " " + string(d.Site) + " " + d.Model)
		if strings.Contains(text, strings.ToLower(q.Search)) && (q.Status == "" || q.Status == d.Presence.Status) {
			all = append(all, d)
		}
	}
	return cut(all, q.Cursor, q.Limit), f.called("Devices")
}

// cut pages by the number of the first item.
func cut[T any](all []T, cursor string, limit int) fleet.Page[T] {
	from, _ := strconv.Atoi(cursor)
	from = min(max(from, 0), len(all))
	to := min(from+limit, len(all))
	p := fleet.Page[T]{Items: all[from:to], Total: len(all)}
	if to < len(all) {
		p.Next = strconv.Itoa(to)
	}
	return p
}

func (f *fake) find(method string, is func(fleet.Device) bool) (fleet.Device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(method); err != nil {
		return fleet.Device{}, err
	}
	if i := slices.IndexFunc(f.devices, is); i >= 0 {
		return f.devices[i], nil
	}
	return fleet.Device{}, fault.New(fault.NotFound, "There is no such PBX in your account.")
}

func (f *fake) Device(_ context.Context, _ fleet.Principal, d id.Device) (fleet.Device, error) {
	return f.find("Device", func(x fleet.Device) bool { return x.ID == d })
}

func (f *fake) SiteDevice(_ context.Context, _ fleet.Principal, s id.Site) (fleet.Device, error) {
	return f.find("SiteDevice", func(x fleet.Device) bool { return x.Site == s })
}

func (f *fake) RemoveDevice(ctx context.Context, p fleet.Principal, d id.Device, _ string) error {
	_, err := f.find("RemoveDevice", func(x fleet.Device) bool { return x.ID == d })
	return err
}

func (f *fake) StartVisit(_ context.Context, _ fleet.Principal, q fleet.VisitRequest) (fleet.VisitStart, error) {
	d, err := f.find("StartVisit", func(x fleet.Device) bool { return x.ID == q.Device || q.Site != "" && x.Site == q.Site })
	if err != nil {
		return fleet.VisitStart{}, err
	}
	to := f.siteURL
	if to == "" {
		to = "https://" + string(d.Site) + ".relay.example:8443/.trunkline/visit"
	}
	return fleet.VisitStart{Visit: token.Visit{ID: visitID(9), Site: d.Site, Device: d.ID}, URL: to, Handover: handover}, nil
}

func (f *fake) EndVisit(context.Context, fleet.Principal, id.Visit) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.called("EndVisit")
}

func (f *fake) Visits(_ context.Context, _ fleet.Principal, q fleet.VisitQuery) (fleet.Page[fleet.Visit], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var some []fleet.Visit
	for _, v := range f.visits {
		if (q.Device == "" || v.Device == q.Device) && (q.User == "" || v.User == q.User) && (!q.Live || v.Ended.IsZero()) && (!q.Ended || !v.Ended.IsZero()) {
			some = append(some, v)
		}
	}
	return cut(some, q.Cursor, q.Limit), f.called("Visits")
}

func (f *fake) VisitsOn(_ context.Context, _ fleet.Principal, users []id.User) (map[id.User]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[id.User]int{}
	for _, v := range f.visits {
		if v.Ended.IsZero() && slices.Contains(users, v.User) {
			out[v.User]++
		}
	}
	return out, f.called("VisitsOn")
}

func (f *fake) Wish(context.Context, fleet.Principal) (fleet.Wish, error) {
	return fleet.Wish{Region: "eu", Second: true}, f.called("Wish")
}

func (f *fake) Relays(_ context.Context, _ fleet.Principal, q fleet.RelayQuery) (fleet.Page[fleet.Relay], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var some []fleet.Relay
	for _, r := range f.relays {
		if (q.State == "" || r.State == q.State) && strings.Contains(string(r.Name), q.Search) {
			some = append(some, r)
		}
	}
	return cut(some, q.Cursor, q.Limit), f.called("Relays")
}

func (f *fake) EditWish(context.Context, fleet.Principal, fleet.WishEdit) (fleet.Wish, error) {
	return fleet.Wish{}, f.called("EditWish")
}

func (f *fake) Subscription(context.Context, fleet.Principal) (fleet.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sub, f.called("Subscription")
}

func (f *fake) Audit(_ context.Context, _ fleet.Principal, q fleet.AuditQuery) (fleet.Page[fleet.AuditEntry], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cut(f.audit, q.Cursor, q.Limit), f.called("Audit")
}

func (f *fake) WatchFor(ctx context.Context, _ fleet.Principal, what fleet.Watched) <-chan fleet.DeviceEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan fleet.DeviceEvent, 16)
	f.watchers, f.watched = append(f.watchers, ch), append(f.watched, what)
	context.AfterFunc(ctx, func() { f.drop(ch) })
	return ch
}

func (f *fake) drop(ch chan fleet.DeviceEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.watchers, ch); i >= 0 {
		f.watchers, f.watched = slices.Delete(f.watchers, i, i+1), slices.Delete(f.watched, i, i+1)
		close(ch)
	}
}

func (f *fake) watching() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

// set changes a device and tells the watchers; edit does so of more than how it
// is connected.
func (f *fake) set(d fleet.Device)  { f.change(fleet.DeviceEvent{Device: d}) }
func (f *fake) edit(d fleet.Device) { f.change(fleet.DeviceEvent{Device: d, Edited: true}) }

func (f *fake) change(e fleet.DeviceEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := e.Device
	if i := slices.IndexFunc(f.devices, func(x fleet.Device) bool { return x.ID == d.ID }); i >= 0 {
		f.devices[i] = d
	} else {
		f.devices = append(f.devices, d)
	}
	for i, ch := range f.watchers {
		if f.watched[i].Below == (d.Owner != "") {
			ch <- e
		}
	}
}

// visit tells those who watch visits of one to d.
func (f *fake) visit(d fleet.Device) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, ch := range f.watchers {
		if f.watched[i].Visits {
			ch <- fleet.DeviceEvent{Device: d, Visit: true}
		}
	}
}
