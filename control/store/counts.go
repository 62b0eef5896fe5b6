package store

import "context"

// AddUpCounts adds the devices that came and went to how many PostgreSQL has on
// record, by account, group and status: until then, whoever counts goes through
// them. On SQLite the counts themselves change with each device.
func (s *Store) AddUpCounts(ctx context.Context) error {
	if !s.postgres {
		return nil
	}
	// Each statement is a transaction at READ COMMITTED: another replica that
	// does the same finds what is left.
	for _, statement := range []string{
		`WITH changes AS (DELETE FROM count_changes RETURNING account, grp, status, n)
			INSERT INTO added_counts SELECT account, grp, status, SUM(n) FROM changes GROUP BY account, grp, status ORDER BY account, grp, status
			ON CONFLICT (account, grp, status) DO UPDATE SET n = added_counts.n + EXCLUDED.n`,
		"DELETE FROM added_counts WHERE n = 0",
	} {
		if _, err := s.write.ExecContext(ctx, statement); err != nil {
			return classified(err)
		}
	}
	return nil
}
