package edge

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

// lodging is an Edge whose browsers are all at other relays.
func lodging(t *testing.T, l Limits, crowded func(id.Device)) *Edge {
	t.Helper()
	e, err := New(Options{
		Zone: "localhost", ConsoleURL: "https://console.localhost", Live: Live{Limits: l}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(), Crowded: crowded,
		Admit: func(string, id.Site, Activity, uint64) (Guest, error) { return Guest{}, errors.ErrUnsupported },
		Redeem: func(context.Context, string, id.Site, netip.Addr) (Guest, error) {
			return Guest{}, errors.ErrUnsupported
		},
		End:   func(token.Visit, fault.Code) {},
		Route: func(id.Site, id.Device) (Route, bool) { return Route{}, false },
		Dial:  func(context.Context, id.Device, Header) (Stream, error) { return nil, errors.ErrUnsupported },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What another relay lodges here is bounded as what comes here is: by device, by
// account, and in its pace.
func TestLodgersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lodging(t, Limits{StreamsPerDevice: 4, StreamsPerAccount: 6}, nil)
		one, two, account := id.NewDevice(), id.NewDevice(), id.NewAccount()
		var in []*Lodger
		take := func(d id.Device, n int) (taken int) {
			for range n {
				l, err := e.Lodge(d, account)
				if err == nil {
					taken++
					in = append(in, l)
				} else if fault.CodeOf(err) != fault.TooMany {
					t.Errorf("refused with %v, want %s", err, fault.TooMany)
				}
			}
			return taken
		}
		if n := take(one, 10); n != 4 {
			t.Errorf("one device has %d streams, want 4", n)
		}
		if n := take(two, 10); n != 2 {
			t.Errorf("the account's other device has %d, want the 2 that are left of its 6", n)
		}
		if _, err := e.Lodge(two, id.NewAccount()); err != nil {
			t.Errorf("another account's: %v", err)
		}
		in[0].Leave()
		in[0].Leave() // may be called again, and counts once
		if n := take(one, 10); n != 1 {
			t.Errorf("one has left, and %d are taken", n)
		}
	})
}

// Quotas count from the process's start, so time is real here.
func TestLodgersArePaced(t *testing.T) {
	e := lodging(t, Limits{OpensPerDevice: 1}, nil)
	d, taken, began := id.NewDevice(), 0, time.Now()
	for range 100 {
		if l, err := e.Lodge(d, id.NewAccount()); err == nil {
			taken++
			l.Leave()
		}
	}
	if most := 10 + int(time.Since(began)/time.Second); taken < 10 || taken > most {
		t.Errorf("%d streams were opened at once, want those of ten seconds", taken)
	}
	if n := len(e.pool.shelf(d).devices); n != 0 {
		t.Errorf("%d devices are remembered, of which nothing is left", n)
	}

	e = lodging(t, Limits{BytesPerDevice: 1 << 20}, nil)
	l, err := e.Lodge(id.NewDevice(), id.NewAccount())
	if err != nil || !l.Limited() {
		t.Fatal(err, l.Limited())
	}
	began = time.Now()
	for range 15 {
		l.Pay(100 << 10)
	}
	if took := time.Since(began); took < 300*time.Millisecond { // the first MiB is free
		t.Errorf("1.5 MB at 1 MiB a second took %v", took)
	}
	time.AfterFunc(time.Millisecond, l.Leave)
	began = time.Now()
	l.Pay(1 << 30)
	if took := time.Since(began); took > 30*time.Second { // of 75
		t.Errorf("who has left waits on: %v", took)
	}
}

// Requests here that find no room have it as soon as other relays give it, each of
// them, and nobody who waits is forgotten.
func TestRoomThatIsGivenIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		e := lodging(t, Limits{StreamsPerDevice: 8}, func(id.Device) { asked++ })
		d, account := id.NewDevice(), id.NewAccount()
		var lodgers []*Lodger
		for range 8 {
			l, err := e.Lodge(d, account)
			if err != nil {
				t.Fatal(err)
			}
			lodgers = append(lodgers, l)
		}
		began := time.Now()
		got := make(chan time.Duration, 8)
		for range 5 {
			go func() {
				if _, _, _, err := e.pool.reserve(d, "v", time.Minute); err != nil {
					got <- -1
					return
				}
				got <- time.Since(began)
			}()
		}
		synctest.Wait()
		if asked == 0 {
			t.Error("nobody was asked for room")
		}
		const pause = 7 * time.Millisecond
		time.Sleep(pause)
		for _, l := range lodgers[:4] { // all at once: each must wake another one
			l.Leave()
		}
		synctest.Wait()
		if len(got) != 4 {
			t.Errorf("%d of 4 that there is room for have it at once", len(got))
		}
		late := 0
		for range 5 {
			switch took := <-got; {
			case took < 0:
				late++
			case took != pause:
				t.Errorf("room was taken after %v, and was there after %v", took, pause)
			}
		}
		if late != 1 || time.Since(began) != giveRoom {
			t.Errorf("%d gave up, after %v; want one, after %v", late, time.Since(began), giveRoom)
		}
		for _, l := range lodgers[4:] {
			l.Leave()
		}
		for range 4 {
			e.pool.shelf(d).release(d)
		}
		if n := len(e.pool.shelf(d).devices); n != 0 {
			t.Errorf("%d devices are remembered, of which nothing is left", n)
		}
	})
}
