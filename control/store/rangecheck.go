package store

import (
	"context"
	"database/sql"
	"fmt"

	"trunkline/internal/id"
)

// checkRanges finds devices that a search which goes through ranges of an order
// would pass over.
func checkRanges(ctx context.Context, in *sql.Tx, k keyed, findings *[]string) error {
	t := &tx{ctx: ctx, sql: in, postgres: true}
	type ranged struct {
		n int
		keyRange
	}
	ranges, err := all(t, func(r scanner) (x ranged, err error) {
		err = r.Scan(&x.n, &x.low, &x.high)
		return x, err
	}, k.on("SELECT range, low, high FROM {ranges} ORDER BY low"))
	if err != nil {
		return err
	}
	for i, r := range ranges {
		if i == 0 && r.low != "" || i > 0 && r.low != ranges[i-1].high || i == len(ranges)-1 && r.high != keysEnd {
			*findings = append(*findings, fmt.Sprintf("ranges of %s do not follow each other: %q", k.ranges, r.low))
			return nil
		}
	}
	pieces := make(map[string][]byte)
	_, err = all(t, func(r scanner) (none struct{}, err error) {
		var piece string
		var b []byte
		if err := r.Scan(&piece, &b); err != nil {
			return none, err
		}
		l, err := decodeRanges(b)
		pieces[piece] = l.bits()
		return none, err
	}, k.on("SELECT piece, ranges FROM {pieces}"))
	if err != nil {
		return err
	}
	rows, err := in.QueryContext(ctx, k.on(`SELECT d.id, {key}, d.search FROM {texts} d
		WHERE NOT EXISTS (SELECT 1 FROM {changes} c WHERE c.device = d.id) ORDER BY {key}`))
	if err != nil {
		return classified(err)
	}
	defer rows.Close()
	for at, found := 0, 0; rows.Next() && found < maxFindings; {
		var d id.Device
		var name, text string
		if err := rows.Scan(&d, &name, &text); err != nil {
			return classified(err)
		}
		for at < len(ranges)-1 && name >= ranges[at].high {
			at++
		}
		for piece := range piecesOf(text) {
			if b, n := pieces[piece], ranges[at].n; n/8 >= len(b) || b[n/8]&(1<<(n%8)) == 0 {
				*findings = append(*findings, fmt.Sprintf("a device that searches pass over: %s has %q, and its range in %s has not", d, piece, k.ranges))
				found++
				break
			}
		}
	}
	return classified(rows.Err())
}
