package store

import (
	"time"

	"trunkline/control/fleet"
)

const (
	served   = 0 // status of a claim
	answered = 1
)

func (t *tx) KeptAnswer(row string) (fleet.KeptAnswer, error) {
	return one(t, func(r scanner) (k fleet.KeptAnswer, err error) {
		var status int
		err = r.Scan(&k.Request, &status, &k.Sealed, stamp{&k.At})
		k.Answered = status == answered
		return k, err
	}, "SELECT request, status, answer, at FROM idempotency WHERE key = $1", row)
}

func (t *tx) ClaimAnswer(row, request string, at time.Time) error {
	return t.insert(`INSERT INTO idempotency (key, request, status, answer, at) VALUES ($1, $2, $3, NULL, $4)
		ON CONFLICT (key) DO UPDATE SET request = excluded.request, status = excluded.status, answer = NULL, at = excluded.at`,
		row, request, served, micros(at))
}

func (t *tx) KeepAnswer(row string, at time.Time, sealed []byte) error {
	return t.insert("UPDATE idempotency SET status = $1, answer = $2 WHERE key = $3 AND at = $4 AND status = $5",
		answered, sealed, row, micros(at), served)
}

func (t *tx) DropClaim(row string, at time.Time) error {
	return t.insert("DELETE FROM idempotency WHERE key = $1 AND at = $2 AND status = $3", row, micros(at), served)
}

func (t *tx) DropAnswersBefore(at time.Time, limit int) (int, error) {
	return t.exec("DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)", micros(at), limit)
}
