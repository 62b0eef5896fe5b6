package fleet

import (
	"context"
	"time"

	"trunkline/internal/bus"
	"trunkline/internal/fault"
	"trunkline/internal/token"
)

// revocations are what the relays must be told once it is committed, by key.
type revocations map[string]bus.Revocation

// endVisits ends visits that are on, for the database and for the relays.
func endVisits(tx Tx, vs []Visit, now time.Time, code fault.Code) (revocations, error) {
	out := make(revocations, len(vs))
	for _, v := range vs {
		v.Ended, v.EndCode = now, code
		if err := tx.UpdateVisit(v); err != nil {
			return nil, err
		}
		out[visitKey(v.ID)] = bus.Revocation{Code: code, At: now, Until: v.Expires}
	}
	return out, out.put(tx)
}

func (rs revocations) put(tx Tx) error {
	for key, r := range rs {
		if err := tx.PutRevocation(key, r); err != nil {
			return err
		}
	}
	return nil
}

// forbidden are those of the visits that may does not allow.
func forbidden(tx Tx, vs []Visit, may Access) ([]Visit, error) {
	var out []Visit
	for _, v := range vs {
		d, err := tx.Device(v.Device)
		if noRow(err) {
			continue // ended when it was removed
		}
		if err != nil {
			return nil, err
		}
		need := See | VisitAccount
		if v.Method == token.MethodPasswordless {
			need = See | VisitPasswordless
		}
		if !may.On(d.Group).Has(need) {
			out = append(out, v)
		}
	}
	return out, nil
}

// settledAtOnce is how many revocations the one who asked waits for. More go
// out in the background.
const settledAtOnce = 200

// settle tells the relays of what was committed. Without a bus it waits for
// one of them, and not for each.
func (f *Fleet) settle(ctx context.Context, rs revocations) {
	if len(rs) > settledAtOnce {
		f.republishSoon()
		return
	}
	for key, r := range rs {
		if !f.revoked(ctx, key, r) {
			return
		}
	}
}
