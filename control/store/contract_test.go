package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/id"
	"trunkline/internal/token"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	onEach(t, func(w *world) {
		w.see(func(tx fleet.Tx) error {
			root, err := tx.Root()
			want := w.account
			want.Path, want.Used = string(want.ID)+"/", 1
			equal(w.T, root, want)
			wantErr(w.T, err, nil)
			u, err := tx.UserByEmail("a@example.com")
			equal(w.T, u, w.user)
			wantErr(w.T, err, nil)
			for _, read := range []func() (fleet.Device, error){
				func() (fleet.Device, error) { return tx.Device(w.device.ID) },
				func() (fleet.Device, error) { return tx.DeviceBySerial(w.device.Serial) },
				func() (fleet.Device, error) { return tx.DeviceBySite(w.device.Site) },
			} {
				d, err := read()
				equal(w.T, d, w.device)
				wantErr(w.T, err, nil)
			}
			_, err = tx.Device(id.NewDevice())
			wantErr(w.T, err, fleet.ErrNoRow)
			_, err = tx.User(id.NewUser())
			wantErr(w.T, err, fleet.ErrNoRow)
			return nil
		})
	})
}

func TestUniqueValuesAreTaken(t *testing.T) {
	onEach(t, func(w *world) {
		for name, add := range map[string]func(fleet.Tx) error{
			"second root": func(tx fleet.Tx) error {
				return tx.AddAccount(fleet.Account{ID: id.NewAccount(), Name: "x", Created: at(0)})
			},
			"e-mail": func(tx fleet.Tx) error { u := w.user; u.ID = id.NewUser(); return tx.AddUser(u) },
			"site": func(tx fleet.Tx) error {
				return tx.AddSite(fleet.Site{ID: w.device.Site, Account: w.account.ID, Created: at(0), Licensed: true})
			},
			"serial": func(tx fleet.Tx) error { d := w.device; d.ID = id.NewDevice(); return tx.AddDevice(d) },
		} {
			if err := w.Tx(w.Context(), add); !errors.Is(err, fleet.ErrTaken) {
				w.Errorf("%s: %v, want taken", name, err)
			}
		}
	})
}

// A statement that failed for a taken value leaves the transaction usable:
// the rules draw another site then.
func TestTakenIsNotTheEndOfTheTransaction(t *testing.T) {
	onEach(t, func(w *world) {
		s := id.NewSite()
		w.do(func(tx fleet.Tx) error {
			wantErr(w.T, tx.AddSite(fleet.Site{ID: w.device.Site, Account: w.account.ID, Created: at(0), Licensed: true}), fleet.ErrTaken)
			return tx.AddSite(fleet.Site{ID: s, Account: w.account.ID, Created: at(0), Licensed: true})
		})
		w.see(func(tx fleet.Tx) error {
			n, err := tx.CountSites()
			equal(w.T, n, 2)
			return err
		})
	})
}

func TestAnErrorRollsBack(t *testing.T) {
	onEach(t, func(w *world) {
		stop := errors.New("stop")
		err := w.Tx(w.Context(), func(tx fleet.Tx) error {
			return errors.Join(tx.RemoveDevice(w.device.ID), stop)
		})
		wantErr(w.T, err, stop)
		w.see(func(tx fleet.Tx) error { _, err := tx.Device(w.device.ID); return err })
	})
}

// Whatever overlaps, the outcome is one of some order: here three of eight
// find room.
func TestTransactionsAreAsIfAlone(t *testing.T) {
	onEach(t, func(w *world) {
		done := make(chan bool)
		for range 8 {
			go func() {
				added := false
				err := w.Tx(w.Context(), func(tx fleet.Tx) error {
					added = false
					n, err := tx.CountSites()
					if err != nil || n >= 4 {
						return err
					}
					added = true
					return tx.AddSite(fleet.Site{ID: id.NewSite(), Account: w.account.ID, Created: at(0), Licensed: true})
				})
				if err != nil {
					w.Error(err)
				}
				done <- added
			}()
		}
		added := 0
		for range 8 {
			if <-done {
				added++
			}
		}
		equal(w.T, added, 3)
		w.see(func(tx fleet.Tx) error {
			n, err := tx.CountSites()
			equal(w.T, n, 4)
			return err
		})
	})
}

func TestDeviceChangesAndGoes(t *testing.T) {
	onEach(t, func(w *world) {
		d := w.device
		d.Name, d.Firmware, d.Void = "Renamed", "2.0", at(9).Truncate(time.Second)
		p := fleet.Presence{Status: fleet.StatusConnected, Reason: "", Since: at(5), Relay: "r1", Remote: "192.0.2.1:5", Agent: "1.0"}
		w.do(func(tx fleet.Tx) error {
			wantErr(w.T, tx.SavePresence(id.NewDevice(), p), fleet.ErrNoRow)
			return errors.Join(tx.SavePresence(d.ID, p), tx.UpdateDevice(d))
		})
		d.Presence = p
		w.see(func(tx fleet.Tx) error {
			got, err := tx.Device(d.ID)
			equal(w.T, got, d)
			on, err2 := tx.ConnectedDevices()
			equal(w.T, on, []fleet.Device{d})
			return errors.Join(err, err2)
		})
		w.do(func(tx fleet.Tx) error { return tx.RemoveDevice(d.ID) })
		w.see(func(tx fleet.Tx) error {
			n, err := tx.CountSites()
			equal(w.T, n, 0)
			return err
		})
		wantErr(w.T, w.Tx(w.Context(), func(tx fleet.Tx) error { return tx.UpdateDevice(d) }), fleet.ErrNoRow)
	})
}

func TestSessions(t *testing.T) {
	onEach(t, func(w *world) {
		w.do(func(tx fleet.Tx) error {
			for i := range 5 {
				if err := tx.AddSession(fmt.Sprintf("s%d", i), w.user.ID, at(i), at(100+i), 3); err != nil {
					return err
				}
			}
			return tx.DropSession("s3")
		})
		w.see(func(tx fleet.Tx) error {
			for s, want := range map[string]error{"s0": fleet.ErrNoRow, "s1": fleet.ErrNoRow, "s2": nil, "s3": fleet.ErrNoRow, "s4": nil} {
				u, err := tx.SessionUser(s, at(50))
				wantErr(w.T, err, want)
				if want == nil {
					equal(w.T, u, w.user)
				}
			}
			_, err := tx.SessionUser("s4", at(104))
			wantErr(w.T, err, fleet.ErrNoRow)
			return nil
		})
		w.do(func(tx fleet.Tx) error {
			n, err := tx.DropSessionsBefore(at(103))
			equal(w.T, n, 1)
			return err
		})
	})
}

func TestVisits(t *testing.T) {
	onEach(t, func(w *world) {
		old, fresh := w.addVisit(at(0), "hash0"), w.addVisit(at(30), "hash1")
		w.see(func(tx fleet.Tx) error {
			got, err := tx.Visit(fresh.ID)
			equal(w.T, got, fresh)
			open, err2 := tx.Handovers(at(10))
			equal(w.T, open, map[string]token.Visit{"hash1": fresh.Visit})
			late, err3 := tx.OverdueVisits(at(40), at(20), 10)
			equal(w.T, late, []fleet.Visit{old})
			return errors.Join(err, err2, err3)
		})
		fresh.Opened, fresh.Remote = at(31), "192.0.2.7"
		old.Ended, old.EndCode = at(32), fault.HandoverInvalid
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.UpdateVisit(fresh), tx.UpdateVisit(old),
				tx.CountTraffic(fresh.ID, "r1", 10, 20, 2), tx.CountTraffic(fresh.ID, "r2", 1, 2, 1),
				tx.CountTraffic(fresh.ID, "r1", 9, 30, 1)) // late, in part
		})
		fresh.BytesIn, fresh.BytesOut, fresh.Requests = 11, 32, 3
		w.see(func(tx fleet.Tx) error {
			open, err := tx.Handovers(at(10))
			equal(w.T, len(open), 0)
			live, err2 := tx.LiveVisits(w.device.ID)
			equal(w.T, live, []fleet.Visit{fresh})
			none, err3 := tx.LiveVisits(id.NewDevice())
			equal(w.T, len(none), 0)
			late, err4 := tx.OverdueVisits(fresh.Expires, at(0), 10)
			equal(w.T, late, []fleet.Visit{fresh})
			return errors.Join(err, err2, err3, err4)
		})
		fresh.Ended, fresh.EndCode = at(33), fault.VisitIdle
		w.do(func(tx fleet.Tx) error { return tx.UpdateVisit(fresh) })
		w.see(func(tx fleet.Tx) error {
			lapsed, err := tx.LapsedVisits(w.account.ID, at(29))
			equal(w.T, lapsed, []fleet.Visit{fresh})
			unopened, err4 := tx.LapsedVisits(w.account.ID, at(-1)) // old: the word that it was opened may be on its way
			equal(w.T, unopened, []fleet.Visit{old, fresh})
			none, err2 := tx.LapsedVisits(w.account.ID, at(30))
			equal(w.T, len(none), 0)
			others, err3 := tx.LapsedVisits(id.NewAccount(), at(0))
			equal(w.T, len(others), 0)
			return errors.Join(err, err2, err3, err4)
		})
		fresh.EndCode = fault.EndedByStaff
		w.do(func(tx fleet.Tx) error { return tx.UpdateVisit(fresh) })
		w.see(func(tx fleet.Tx) error {
			none, err := tx.LapsedVisits(w.account.ID, at(29)) // it has a revocation
			equal(w.T, len(none), 0)
			return err
		})
	})
}

func TestSecrets(t *testing.T) {
	onEach(t, func(w *world) {
		sign, seal := token.NewSigningKey(at(0)), token.NewSealKey(at(1))
		first := bus.Revocation{Code: fault.VisitEnded, At: at(0), Until: at(10)}
		second := bus.Revocation{Code: fault.Replaced, At: at(5), Until: at(20)}
		w.do(func(tx fleet.Tx) error {
			return errors.Join(tx.AddSigningKey(sign), tx.AddSealKey(seal),
				tx.PutRevocation("device.a", first), tx.PutRevocation("visit.b", first), tx.PutRevocation("device.a", second))
		})
		w.do(func(tx fleet.Tx) error {
			signing, err := tx.SigningKeys()
			equal(w.T, signing, []token.SigningKey{sign})
			seals, err2 := tx.SealKeys()
			equal(w.T, seals, []token.SealKey{seal})
			n, err3 := tx.DropRevocationsBefore(at(15))
			equal(w.T, n, 1)
			rs, err4 := tx.Revocations()
			equal(w.T, rs, map[string]bus.Revocation{"device.a": second})
			return errors.Join(err, err2, err3, err4, tx.DropKey(sign.ID), tx.DropKey(seal.ID))
		})
		w.see(func(tx fleet.Tx) error {
			signing, err := tx.SigningKeys()
			seals, err2 := tx.SealKeys()
			equal(w.T, len(signing)+len(seals), 0)
			return errors.Join(err, err2)
		})
	})
}

func TestViewDoesNotWrite(t *testing.T) {
	onEach(t, func(w *world) {
		err := w.View(w.Context(), func(tx fleet.Tx) error { return tx.DropSession("x") })
		if err == nil {
			w.Error("a view wrote")
		}
	})
}

func TestACancelledContextEndsIt(t *testing.T) {
	onEach(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		wantErr(w.T, w.Tx(ctx, func(fleet.Tx) error { return nil }), context.Canceled)
	})
}
