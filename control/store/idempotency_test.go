package store_test

import (
	"testing"

	"trunkline/control/fleet"
)

func TestKeptAnswers(t *testing.T) {
	onEach(t, func(w *world) {
		read := func(row string) (k fleet.KeptAnswer) {
			w.see(func(tx fleet.Tx) (err error) { k, err = tx.KeptAnswer(row); return err })
			return k
		}
		w.see(func(tx fleet.Tx) error {
			_, err := tx.KeptAnswer("a")
			wantErr(w.T, err, fleet.ErrNoRow)
			return nil
		})
		w.do(func(tx fleet.Tx) error { return tx.ClaimAnswer("a", "asked", at(1)) })
		equal(w.T, read("a"), fleet.KeptAnswer{Request: "asked", At: at(1)})
		// Of another moment: nothing happens.
		w.do(func(tx fleet.Tx) error { return tx.KeepAnswer("a", at(2), []byte("x")) })
		w.do(func(tx fleet.Tx) error { return tx.DropClaim("a", at(2)) })
		equal(w.T, read("a"), fleet.KeptAnswer{Request: "asked", At: at(1)})
		w.do(func(tx fleet.Tx) error { return tx.KeepAnswer("a", at(1), []byte("x")) })
		equal(w.T, read("a"), fleet.KeptAnswer{Request: "asked", Answered: true, Sealed: []byte("x"), At: at(1)})
		// What was answered is neither answered again nor dropped.
		w.do(func(tx fleet.Tx) error { return tx.KeepAnswer("a", at(1), []byte("y")) })
		w.do(func(tx fleet.Tx) error { return tx.DropClaim("a", at(1)) })
		equal(w.T, string(read("a").Sealed), "x")
		w.do(func(tx fleet.Tx) error { return tx.ClaimAnswer("a", "anew", at(3)) })
		equal(w.T, read("a"), fleet.KeptAnswer{Request: "anew", At: at(3)})
		w.do(func(tx fleet.Tx) error { return tx.ClaimAnswer("b", "asked", at(4)) })
		w.do(func(tx fleet.Tx) error { return tx.ClaimAnswer("c", "asked", at(5)) })
		for _, want := range []int{1, 1, 0} {
			w.do(func(tx fleet.Tx) error {
				n, err := tx.DropAnswersBefore(at(5), 1)
				equal(w.T, n, want)
				return err
			})
		}
		equal(w.T, read("c").Request, "asked")
		w.do(func(tx fleet.Tx) error { return tx.DropClaim("c", at(5)) })
		w.see(func(tx fleet.Tx) error {
			_, err := tx.KeptAnswer("c")
			wantErr(w.T, err, fleet.ErrNoRow)
			return nil
		})
	})
}
