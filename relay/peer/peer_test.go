package peer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	mrand "math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/mux"
	"trunkline/internal/peercert"
	"trunkline/relay/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = mrand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestBytesPassBothWays(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		var asked peer.Request
		open := device(t, func(s *mux.Stream) { _, _ = s.Write([]byte{}); echo(s) })
		second.admits(by(func(q peer.Request) (peer.Device, error) { asked = q; return open(q) }))
		q := question()
		s := first.open(q)
		if asked != q {
			t.Errorf("asked for %+v, want %+v", asked, q)
		}
		sent := random(4 << 20)
		failed := make(chan error, 1)
		go func() { _, err := s.Write(sent); failed <- err }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
			t.Error(errors.Join(errOther, err))
		}
		if !s.Alive() {
			t.Error("the stream cannot be used again")
		}
	})
}

// The device's end comes behind what it said, and is an end, not a break.
func TestTheDevicesEndIsPassedOn(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		sent := random(1 << 20)
		second.admits(by(device(t, func(s *mux.Stream) { _, _ = s.Write(sent) })))
		s := first.open(question())
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if s.Alive() {
			t.Error("a stream that has ended counts as alive")
		}
	})
}

func TestOurEndReachesTheDevice(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		ended := make(chan error, 1)
		second.admits(by(device(t, func(s *mux.Stream) { _, err := io.Copy(io.Discard, s); ended <- err })))
		s := first.open(question())
		if _, err := s.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the device heard of no end")
		}
	})
}

func TestADevicesBreakIsNoEnd(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		read := make(chan struct{})
		second.admits(by(device(t, func(s *mux.Stream) {
			_, _ = s.Write([]byte("hello"))
			<-read // a break takes with it what nobody has read yet, the word that the stream is open too
			s.Reset()
		})))
		s := first.open(question())
		if _, err := io.ReadFull(s, make([]byte, len("hello"))); err != nil {
			t.Fatal(err)
		}
		close(read)
		if _, err := io.ReadAll(s); err == nil {
			t.Error("what broke off counts as whole")
		}
	})
}

func TestRefusalsCross(t *testing.T) {
	_, first, second := pair(t)
	second.admits(device(t, echo))
	first.open(question()) // the links are up
	want := fault.New(fault.TooMany, "Too many.").After(time.Second)
	second.admits(func(peer.Request) (peer.Device, error) { return nil, want })
	_, err := first.Open(t.Context(), "relay-2", question())
	var got *fault.Error
	if !errors.As(err, &got) || *got != *want {
		t.Errorf("%v, want %v", err, want)
	}
	second.admits(nil)
	if _, err := first.Open(t.Context(), "relay-2", question()); fault.CodeOf(err) != fault.NotHere {
		t.Errorf("a device that is not there: %v", err)
	}
	second.admits(func(peer.Request) (peer.Device, error) { return nil, errors.New("secret") })
	if _, err := first.Open(t.Context(), "relay-2", question()); fault.CodeOf(err) != fault.Internal {
		t.Errorf("what is no fault: %v", err)
	}
	if _, err := first.Open(t.Context(), "relay-9", question()); fault.CodeOf(err) != fault.RelayAway {
		t.Errorf("a relay that nobody knows: %v", err)
	}
}

// Whoever finds that the device is elsewhere need not wait for a relay that hangs,
// and what that one answers late reaches nobody.
func TestAnOpeningEndsWithItsContext(t *testing.T) {
	_, first, second := pair(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	open := device(t, echo)
	second.admits(func(q peer.Request) (peer.Device, error) { close(asked); <-answer; return open(q) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := first.Open(ctx, second.name, question()); ended <- err }()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("the other relay was not asked")
	}
	cancel()
	select {
	case err := <-ended:
		if fault.CodeOf(err) != fault.RelayLost || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits on")
	}
	close(answer)
	second.admits(open)
	s := first.open(question())
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// Who waits for bytes when the link breaks is told that it did, and what comes
// after goes over a new one.
func TestABrokenLinkEndsItsStreamsOnly(t *testing.T) {
	passing(t, func(t *testing.T, by func(admission) admission) {
		_, first, second := pair(t)
		second.admits(by(device(t, echo)))
		s := first.open(question())
		first.cut()
		second.cut()
		if _, err := io.ReadAll(s); fault.CodeOf(err) != fault.RelayLost {
			t.Errorf("read: %v, want %s", err, fault.RelayLost)
		}
		if s.Alive() {
			t.Error("a stream of a broken link counts as alive")
		}
		again := first.open(question())
		if _, err := again.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(again, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

// A relay whose lease has ended is not dialled any more; its links serve on.
func TestALapsedLeaseKeepsItsLinks(t *testing.T) {
	_, first, second := pair(t)
	second.admits(device(t, echo))
	first.open(question())
	first.Apply(bus.Event[bus.Lease]{Kind: bus.Delete, Key: "relay-2"})
	if _, err := first.Open(t.Context(), "relay-2", question()); err != nil {
		t.Errorf("while the link is up: %v", err)
	}
	second.stop()
	eventually(t, "relay-2 is lost", func() error {
		first.mu.Lock()
		defer first.mu.Unlock()
		if len(first.lost) == 0 || first.lost[0] != "relay-2" {
			return errors.New("nobody was told")
		}
		return nil
	})
}

func TestNoticesArrive(t *testing.T) {
	_, first, second := pair(t)
	second.admits(device(t, echo))
	q := question()
	first.open(q)
	ended := peer.Notice{Kind: peer.VisitEnded, Device: q.Device, Visit: q.Header.Visit, Code: fault.VisitEnded}
	leaving := peer.Notice{Kind: peer.Leaving, Device: q.Device}
	first.Tell("relay-2", ended)
	second.TellUsers(q.Device, leaving)
	second.TellUsers(id.NewDevice(), peer.Notice{Kind: peer.Leaving, Device: id.NewDevice()})
	for r, want := range map[*relay]peer.Notice{second: ended, first: leaving} {
		eventually(t, "the notice", func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.heard) != 1 || r.heard[0] != want {
				return errors.New("not heard, or not that one alone")
			}
			return nil
		})
	}
}

// Who is about to end what it serves says so, to those whose streams it serves, and
// what it has opened itself goes on.
func TestClosingIsTold(t *testing.T) {
	_, first, second := pair(t)
	first.admits(device(t, echo))
	second.admits(device(t, echo))
	theirs := first.open(question())
	ours, err := second.Open(t.Context(), "relay-1", question())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	second.TellClosing()
	second.TellClosing() // a second time changes nothing
	select {
	case <-theirs.Closing():
	case <-time.After(patience):
		t.Fatal("it was not told")
	}
	if _, err := theirs.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(theirs, make([]byte, 1)); err != nil {
		t.Errorf("what was told to close did not go on: %v", err)
	}
	select {
	case <-ours.Closing():
		t.Error("it takes what the other side serves for about to end")
	default:
	}
}

// Others say for how long a visit has been idle with them: the shortest time counts,
// and who does not serve it, or does not answer, says nothing.
func TestOthersAreAskedForAVisit(t *testing.T) {
	a, first, second := pair(t)
	third := start(t, a, "relay-3")
	first.meets(third)
	second.admits(device(t, echo))
	third.admits(device(t, echo))
	first.open(question())
	if _, err := first.Open(t.Context(), "relay-3", question()); err != nil {
		t.Fatal(err)
	}
	v, other := id.NewVisit(), id.NewVisit()
	second.idles(v, 90*time.Second)
	third.idles(other, -time.Second)
	if d, ok := first.Seen(t.Context(), v, 0); !ok || d != 90*time.Second {
		t.Errorf("%v, %v", d, ok)
	}
	third.idles(v, 60*time.Second)
	if d, ok := first.Seen(t.Context(), v, 0); !ok || d != 60*time.Second {
		t.Errorf("the shorter: %v, %v", d, ok)
	}
	if d, ok := first.Seen(t.Context(), other, 0); !ok || d != 0 {
		t.Errorf("seen in the future: %v, %v", d, ok)
	}
	if d, ok := first.Seen(t.Context(), v, time.Hour); !ok || d != 60*time.Second && d != 90*time.Second {
		t.Errorf("any that is short: %v, %v", d, ok)
	}
	if d, ok := first.Seen(t.Context(), id.NewVisit(), time.Hour); ok {
		t.Errorf("nobody's: %v", d)
	}
	if on, err := first.Serves(t.Context(), "relay-3", v); !on || err != nil {
		t.Errorf("relay-3 is asked alone: %v, %v", on, err)
	}
	if on, err := first.Serves(t.Context(), "relay-3", id.NewVisit()); on || err != nil {
		t.Errorf("for nobody's: %v, %v", on, err)
	}
	if on, err := first.Serves(t.Context(), "relay-4", v); on || err == nil {
		t.Errorf("a relay that nobody knows: %v, %v", on, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if d, ok := first.Seen(gone, v, 0); ok {
		t.Errorf("in no time: %v", d)
	}
}

// A relay that was started anew within its lease serves nothing of what it did.
func TestARelayThatIsStartedAnewIsLost(t *testing.T) {
	_, first, second := pair(t)
	l := second.lease()
	first.hears(l)
	told := func() int { first.mu.Lock(); defer first.mu.Unlock(); return len(first.lost) }
	before := told() // its first lease had another time
	first.hears(l)
	if n := told(); n != before {
		t.Errorf("lost %d times by a renewal", n-before)
	}
	l.Started = l.Started.Add(time.Second)
	first.hears(l)
	if n := told(); n != before+1 {
		t.Errorf("lost %d times when it was started anew", n-before)
	}
}

// When control has another authority, relays get certificates of it, and links
// that are made then are good.
func TestAuthoritiesAreExchanged(t *testing.T) {
	old := peercert.NewAuthority(time.Now())
	first, second := start(t, old, "relay-1"), start(t, old, "relay-2")
	first.meets(second)
	second.admits(device(t, echo))
	first.open(question())
	foreign := peercert.NewAuthority(time.Now())
	stays := first.open(question())
	second.SetRoots([]peercert.Root{foreign.Root()}) // what relay-1 has is believed there no more
	if _, err := stays.Write([]byte("x")); err != nil {
		t.Errorf("a link that was up: %v", err)
	}
	if _, err := io.ReadFull(stays, make([]byte, 1)); err != nil {
		t.Errorf("a link that was up: %v", err)
	}
	second.cut()
	first.cut()
	second.SetRoots([]peercert.Root{old.Root(), foreign.Root()})
	first.open(question())
}

// A relay gets its next certificate while its links are up and carry a download:
// not a byte of that is lost, and new links show the new one.
func TestACertificateIsRenewedUnderADownload(t *testing.T) {
	old, first, second := pair(t)
	sent := random(8 << 20)
	more := make(chan struct{})
	second.admits(device(t, func(s *mux.Stream) {
		_, _ = s.Write(sent[:len(sent)/2])
		<-more
		_, _ = s.Write(sent[len(sent)/2:])
	}))
	s := first.open(question())
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(s, got[:1<<20]); err != nil {
		t.Fatal(err)
	}

	shown := func(r *relay) []byte {
		c, err := r.ServerTLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.AuthorityKeyId
	}
	was := shown(first)
	next := peercert.NewAuthority(time.Now())
	first.issued(next)
	second.SetRoots([]peercert.Root{old.Root(), next.Root()})
	first.SetRoots([]peercert.Root{next.Root()}) // its own is believed no more
	eventually(t, "a certificate by the next authority", func() error {
		if bytes.Equal(shown(first), was) {
			return errors.New("it has the old one")
		}
		return nil
	})
	first.SetRoots([]peercert.Root{old.Root(), next.Root()})

	close(more)
	if _, err := io.ReadFull(s, got[1<<20:]); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the download: %v; equal: %t", err, bytes.Equal(got, sent))
	}
	first.cut()
	second.cut()
	second.admits(device(t, echo))
	second.SetRoots([]peercert.Root{next.Root()}) // relay-1 gets in by its new one, or not at all
	again := first.open(question())
	if _, err := again.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(again, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// A relay that starts does not know the others before the bus has told of all; that
// the bus is read anew later takes nothing back.
func TestTheOthersAreKnownOnceAllAreTold(t *testing.T) {
	a := peercert.NewAuthority(time.Now())
	r, o := start(t, a, "relay-1"), start(t, a, "relay-2")
	r.hears(o.lease())
	if r.Known() {
		t.Error("known before all were told of")
	}
	for _, kind := range []bus.Kind{bus.Synced, bus.Reset} {
		if r.Apply(bus.Event[bus.Lease]{Kind: kind}); !r.Known() {
			t.Errorf("not known after %v", kind)
		}
	}
}

// A relay dials those that speak a version of its own, whatever else they speak,
// and no others.
func TestLinksAreForVersionsThatBothSpeak(t *testing.T) {
	a := peercert.NewAuthority(time.Now())
	first, second := start(t, a, "relay-1"), start(t, a, "relay-2")
	second.admits(device(t, echo))
	says := func(r *relay, versions ...int) bus.Lease {
		l := r.lease()
		l.PeerVersions = versions
		return l
	}
	second.hears(says(first, 7)) // who comes is expected, and nobody is dialled
	first.hears(says(second, 7, 8))
	if _, err := first.Open(t.Context(), "relay-2", question()); fault.CodeOf(err) != fault.RelayAway {
		t.Errorf("a relay of other versions: %v, want %s", err, fault.RelayAway)
	}
	first.hears(says(second, 7, 1))
	s := first.open(question())
	if _, err := s.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
