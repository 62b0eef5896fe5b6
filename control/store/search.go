package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// trigram is how long a text must be for the index of a search.
	trigram = 3
	// searchFew is up to how many rows a search has its index name one by one.
	// Where more match, all over the installation, going through a list in its
	// order soon meets enough.
	searchFew = 500
	// searchAll is up to how many rows are all looked at, by no index.
	searchAll = 500
	// searchTotal is how far such a search is counted: each row that matches
	// stands among many that are read for it.
	searchTotal = 50
)

// searched is a table with a column that searches look in.
type searched struct {
	table, alias string
	key, num     string // in PostgreSQL and in SQLite, whose index has numbers
}

var (
	devicesSearched = searched{"devices", "d", "id", "num"}
	auditSearched   = searched{"audit", "audit", "seq", "seq"}
)

// finding is the condition that a row has in it what was typed. Either it
// names the rows, few that an index found, or each row is looked at.
type finding struct {
	cond  string
	arg   any
	named bool
}

// find asks the index of a search for the rows that have typed in them, the
// case aside, anywhere in the installation: once, however many statements are
// then built on it.
func (t *tx) find(in searched, typed string) (finding, error) {
	f := looking(in, typed)
	if utf8.RuneCountInString(typed) < trigram {
		return f, nil
	}
	typed = strings.ToLower(typed)
	var query string
	var arg any
	if t.postgres {
		if common, err := t.common(in, typed); err != nil || common {
			return f, err
		}
		query = fmt.Sprintf(`SELECT COUNT(*), COALESCE(array_agg(f.key)::text, '{}') FROM (SELECT f.%s AS key FROM %s f WHERE f.search LIKE $1 ESCAPE '\' LIMIT %d) f`,
			in.key, in.table, searchFew+1)
		arg = like(typed)
	} else {
		query = fmt.Sprintf("SELECT COUNT(*), json_group_array(rowid) FROM (SELECT rowid FROM %[1]s_search WHERE %[1]s_search MATCH $1 LIMIT %[2]d)", in.table, searchFew+1)
		arg = `"` + strings.ReplaceAll(typed, `"`, `""`) + `"`
	}
	var n int
	var keys string
	if err := t.sql.QueryRowContext(t.ctx, query, arg).Scan(&n, &keys); err != nil {
		return f, classified(err)
	}
	switch {
	case n > searchFew:
		return f, nil
	case t.postgres:
		return finding{in.alias + "." + in.key + " = ANY (CAST(? AS " + map[bool]string{true: "bigint", false: "text"}[in.key == "seq"] + "[]))", keys, true}, nil
	}
	return finding{in.alias + "." + in.num + " IN (SELECT value FROM json_each(?))", keys, true}, nil
}

// looking is the condition for rows one by one.
func looking(in searched, typed string) finding {
	return finding{cond: in.alias + `.search LIKE ? ESCAPE '\'`, arg: like(strings.ToLower(typed))}
}

// inOrder has PostgreSQL go through rows by the index of their order for the
// rest of the transaction. What it expects of a column it takes for spread
// evenly over accounts, states and groups: so it would find all and sort them.
func (t *tx) inOrder() error {
	if !t.postgres {
		return nil
	}
	_, err := t.sql.ExecContext(t.ctx, "SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)")
	return classified(err)
}

// common says whether PostgreSQL expects more than few rows. Its index finds
// all before it gives the first, so asking that is dear where many match;
// what it has sampled of the column is not.
func (t *tx) common(in searched, typed string) (bool, error) {
	var plan []byte
	err := t.sql.QueryRowContext(t.ctx, fmt.Sprintf(`EXPLAIN (FORMAT JSON) SELECT 1 FROM %s f WHERE f.search LIKE $1 ESCAPE '\'`, in.table), like(typed)).Scan(&plan)
	if err != nil {
		return false, classified(err)
	}
	var expected []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal(plan, &expected); err != nil || len(expected) != 1 {
		return false, err // it will be found out by counting
	}
	return expected[0].Plan.Rows > searchFew, nil
}

// like is the pattern of what holds typed.
func like(typed string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(typed) + "%"
}

// unindexed is column so that SQLite takes no index for its sake. PostgreSQL
// knows how many rows there are and decides by that.
func (t *tx) unindexed(column string) string {
	if t.postgres {
		return column
	}
	return "+" + column
}
