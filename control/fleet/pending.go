package fleet

import (
	"context"
	"net/netip"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

var errSoon = fault.New(fault.Unavailable, "Being written.")

func (f *Fleet) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (f *Fleet) Init(ctx context.Context, email, name, password string) (created bool, err error) {
	return false, errSoon
}
func (f *Fleet) Activate(ctx context.Context, a Activation) (Grant, error) { return Grant{}, errSoon }
func (f *Fleet) RenewPass(ctx context.Context, r Renewal) (Grant, error)   { return Grant{}, errSoon }
func (f *Fleet) SignIn(ctx context.Context, email, password string, remote netip.Addr) (Session, error) {
	return Session{}, errSoon
}
func (f *Fleet) Authenticate(ctx context.Context, token string) (Principal, error) {
	return Principal{}, errSoon
}
func (f *Fleet) SignOut(ctx context.Context, p Principal) error { return errSoon }
func (f *Fleet) Devices(ctx context.Context, p Principal, q DeviceQuery) (Page[Device], error) {
	return Page[Device]{}, errSoon
}
func (f *Fleet) Device(ctx context.Context, p Principal, d id.Device) (Device, error) {
	return Device{}, errSoon
}
func (f *Fleet) RemoveDevice(ctx context.Context, p Principal, d id.Device) error { return errSoon }
func (f *Fleet) StartVisit(ctx context.Context, p Principal, r VisitRequest) (VisitStart, error) {
	return VisitStart{}, errSoon
}
func (f *Fleet) EndVisit(ctx context.Context, p Principal, v id.Visit) error { return errSoon }
func (f *Fleet) Visits(ctx context.Context, p Principal, cursor string, limit int) (Page[Visit], error) {
	return Page[Visit]{}, errSoon
}
func (f *Fleet) SiteDevice(ctx context.Context, p Principal, s id.Site) (Device, error) {
	return Device{}, errSoon
}
func (f *Fleet) Subscription(ctx context.Context, p Principal) (Subscription, error) {
	return Subscription{}, errSoon
}
func (f *Fleet) Audit(ctx context.Context, p Principal, q AuditQuery) (Page[AuditEntry], error) {
	return Page[AuditEntry]{}, errSoon
}
func (f *Fleet) Watch(ctx context.Context, p Principal) <-chan DeviceEvent { return nil }
func (f *Fleet) ApplyRoute(e RouteEvent)                                  {}
func (f *Fleet) ApplyReset(epoch string)                                  {}
func (f *Fleet) ApplySynced()                                             {}
func (f *Fleet) SetLeases(live map[id.Relay]bool)                         {}
func (f *Fleet) VisitEvent(ctx context.Context, e bus.VisitEvent) error   { return errSoon }
func (f *Fleet) Republish(ctx context.Context) error                      { return errSoon }
