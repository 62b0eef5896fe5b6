package console_test

import (
	"context"
	"slices"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// What a fake knows beside devices, visits and the audit.

func groupID(n int) id.Group { return id.Group("grp_000000000000000" + string(rune('0'+n))) }

func (f *fake) done(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.called(method)
}

func (f *fake) AddDevice(_ context.Context, p fleet.Principal, n fleet.NewDevice) (fleet.Device, fleet.Code, error) {
	if err := f.done("AddDevice"); err != nil {
		return fleet.Device{}, fleet.Code{}, err
	}
	d := fleet.Device{
		ID: deviceID(77), Account: p.Account, Name: n.Name, Group: n.Group, Comment: n.Comment, Passwordless: n.Passwordless, Created: noon,
		Presence: fleet.Presence{Status: fleet.StatusNotActivated}, Code: fleet.CodeState{Hash: "h", Expires: noon.Add(24 * time.Hour)},
	}
	return d, fleet.Code{Secret: "K7QM-4XWZ-9T2P-HD3V", Expires: d.Code.Expires}, nil
}

func (f *fake) EditDevice(ctx context.Context, p fleet.Principal, d id.Device, x fleet.DeviceEdit) (fleet.Device, error) {
	return f.find("EditDevice", func(o fleet.Device) bool { return o.ID == d })
}

func (f *fake) ReissueCode(_ context.Context, _ fleet.Principal, d id.Device, _ time.Duration) (fleet.Device, fleet.Code, error) {
	x, err := f.find("ReissueCode", func(o fleet.Device) bool { return o.ID == d })
	return x, fleet.Code{Secret: "K7QM-4XWZ-9T2P-HD3V", Expires: noon.Add(24 * time.Hour)}, err
}

func (f *fake) RevokeCode(_ context.Context, _ fleet.Principal, d id.Device) (fleet.Device, error) {
	return f.find("RevokeCode", func(o fleet.Device) bool { return o.ID == d })
}

func (f *fake) RemoveDevices(_ context.Context, _ fleet.Principal, ids []id.Device) ([]fleet.Removal, error) {
	var out []fleet.Removal
	for _, d := range ids {
		_, err := f.find("RemoveDevices", func(o fleet.Device) bool { return o.ID == d })
		out = append(out, fleet.Removal{Device: d, Err: err})
	}
	return out, nil
}

func (f *fake) EachDevice(_ context.Context, _ fleet.Principal, _ fleet.DeviceQuery, ids []id.Device, fn func(fleet.Device) error) error {
	f.mu.Lock()
	all, err := slices.Clone(f.devices), f.called("EachDevice")
	f.mu.Unlock()
	if err != nil {
		return err
	}
	for _, d := range all {
		if len(ids) == 0 || slices.Contains(ids, d.ID) {
			if err := fn(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fake) DeviceEvents(_ context.Context, _ fleet.Principal, d id.Device, cursor string, limit int) (fleet.Page[fleet.StatusChange], error) {
	if f.events != nil {
		return cut(f.events, cursor, limit), f.done("DeviceEvents")
	}
	return fleet.Page[fleet.StatusChange]{Items: []fleet.StatusChange{
		{At: noon.Add(-2 * time.Hour), Kind: string(fleet.StatusConnected), Detail: "relay relay-1, from 198.51.100.7:40112"},
		{At: noon.Add(-3 * time.Hour), Kind: string(fleet.StatusDisconnected), Reason: fault.PeerSilent},
		{At: noon.AddDate(0, -2, 0), Kind: fleet.EventActivated, Detail: "by code"},
	}, Total: 3}, f.done("DeviceEvents")
}

func (f *fake) Groups(context.Context, fleet.Principal) ([]fleet.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.groups, f.called("Groups")
}

func (f *fake) AddGroup(_ context.Context, _ fleet.Principal, name string) (fleet.Group, error) {
	return fleet.Group{ID: groupID(9), Name: name}, f.done("AddGroup")
}

func (f *fake) RenameGroup(_ context.Context, _ fleet.Principal, g id.Group, name, _ string) (fleet.Group, error) {
	return fleet.Group{ID: g, Name: name}, f.done("RenameGroup")
}

func (f *fake) RemoveGroup(context.Context, fleet.Principal, id.Group, string) error {
	return f.done("RemoveGroup")
}

func (f *fake) EndVisitsOf(context.Context, fleet.Principal, id.User) (int, error) {
	return 2, f.done("EndVisitsOf")
}

func (f *fake) Overview(context.Context, fleet.Principal) (fleet.Overview, error) {
	o := fleet.Overview{
		Devices: map[fleet.Status]int{fleet.StatusConnected: 1204, fleet.StatusDisconnected: 21, fleet.StatusNever: 6, fleet.StatusNotActivated: 3},
		Unknown: f.unknown,
		Visits:  4, Alarms: 1, OverCapacity: 2, Subscription: f.sub,
	}
	for i := range 24 {
		o.Samples = append(o.Samples, fleet.Sample{At: noon.Add(time.Duration(i-24) * time.Hour), Connected: 1180 + i*i%37, Devices: 1234, Visits: i % 7})
	}
	return o, f.done("Overview")
}

func (f *fake) InstallLicense(context.Context, fleet.Principal, []byte) (fleet.Subscription, error) {
	return f.sub, f.done("InstallLicense")
}

func (f *fake) EachAudit(_ context.Context, _ fleet.Principal, _ fleet.AuditQuery, fn func(fleet.AuditEntry) error) error {
	if err := f.done("EachAudit"); err != nil {
		return err
	}
	for _, e := range f.audit {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
