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
	// searchNamed is the same of devices on SQLite, whose index has them in order: more
	// are sooner read up to where the page ends, if not counted.
	searchNamed = 100
	// searchNoted is the same of audit entries there, which it has by their numbers.
	searchNoted = 200
	// searchAll is up to how many rows are all looked at, by no index.
	searchAll = 500
	// searchSort is up to how many devices PostgreSQL has its index find and sorts
	// by name: more are sooner met, mostly, by going through the list.
	searchSort = 5000
	// searchWalk is up to how many rows that have what else is asked for are gone
	// through for what was typed.
	searchWalk = 2500
	// searchTotal is how far such a search is counted: each row that matches
	// stands among many that are read for it.
	searchTotal = 50
)

// searched is a table with a column that searches look in.
type searched struct {
	table, alias string
	texts        string // where PostgreSQL has that column indexed
	index        string // SQLite's
	key, num     string // in PostgreSQL and in SQLite, whose index has numbers
}

var (
	devicesSearched = searched{"devices", "d", "device_texts", byName.index, "id", byName.place}
	auditSearched   = searched{"audit", "audit", "audit", "audit_search", "seq", "seq"}
)

// finding is the condition that a row has in it what was typed. Either it
// names the rows, few that an index found, or each row is looked at.
type finding struct {
	cond  string
	args  []any
	named bool

	// sorted says that PostgreSQL has an index of so many that they are better
	// sorted than gone through; counted, that they are so few that they are.
	sorted, counted bool
	expected        float64 // devices that PostgreSQL expects to have it
}

// find asks the index of a search for the rows that have typed in them, the
// case aside, anywhere in the installation: once, however many statements are
// then built on it. With sort, PostgreSQL may say instead that it sorts its texts.
func (t *tx) find(in searched, typed string, sort bool) (finding, error) {
	if t.postgres {
		return t.expected(in, typed, sort)
	}
	f := looking(in, typed)
	if utf8.RuneCountInString(typed) < trigram {
		return f, nil
	}
	return t.named(f, in, `"`+strings.ReplaceAll(strings.ToLower(typed), `"`, `""`)+`"`, searchNoted)
}

// expected is what to do about rows of which PostgreSQL expects so many.
func (t *tx) expected(in searched, typed string, sort bool) (finding, error) {
	f, indexed := looking(in, typed), indexedText(in, typed)
	if utf8.RuneCountInString(typed) < trigram && in.texts == in.table { // there are trigrams alone
		return f, nil
	}
	var w where
	w.and(indexed.cond, indexed.args...)
	from := fmt.Sprintf("FROM %s %s%s", in.texts, in.alias, w.String())
	n, err := t.estimate("SELECT 1 "+from, w.args...)
	f.expected, indexed.expected = n, n
	switch {
	case err != nil || n > searchSort:
		return f, err
	case sort:
		indexed.sorted, indexed.counted = true, n <= searchFew
		return indexed, nil
	case n > searchFew:
		return f, nil
	}
	keys, few, err := t.keys(searchFew, fmt.Sprintf("SELECT COUNT(*), COALESCE(array_agg(key)::text, '{}') FROM (SELECT %s.%s AS key %s LIMIT %d) f", in.alias, in.key, from, searchFew+1), w.args...)
	if err != nil || !few {
		return f, err
	}
	kind := map[bool]string{true: "bigint", false: "text"}[in.key == "seq"]
	return finding{cond: in.alias + "." + in.key + " = ANY (CAST(? AS " + kind + "[]))", args: []any{keys}, named: true}, nil
}

// indexedText is the condition that PostgreSQL has an index of.
func indexedText(in searched, typed string) finding {
	if utf8.RuneCountInString(typed) < trigram {
		return finding{cond: "short_grams(" + in.alias + ".search) @> ARRAY[CAST(? AS text)]", args: []any{strings.ToLower(typed)}}
	}
	return looking(in, typed)
}

// named is f for the rows alone that match in SQLite's index, if these are few.
func (t *tx) named(f finding, in searched, match string, most int) (finding, error) {
	keys, few, err := t.keys(most, fmt.Sprintf("SELECT COUNT(*), json_group_array(rowid) FROM (SELECT rowid FROM %[1]s WHERE %[1]s MATCH $1 LIMIT %[2]d)", in.index, most+1), match)
	if err != nil || !few {
		return f, err
	}
	return finding{cond: in.alias + "." + in.num + " IN (SELECT value FROM json_each(?)) AND " + f.cond, args: append([]any{keys}, f.args...), named: true}, nil
}

// keys are what an index found, if that is few: no more than most.
func (t *tx) keys(most int, query string, args ...any) (keys string, few bool, err error) {
	var n int
	err = t.sql.QueryRowContext(t.ctx, query, args...).Scan(&n, &keys)
	return keys, n <= most, classified(err)
}

// looking is the condition for rows one by one.
func looking(in searched, typed string) finding {
	return finding{cond: in.alias + `.search LIKE ? ESCAPE '\'`, args: []any{like(strings.ToLower(typed))}}
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

// planned has PostgreSQL plan each statement for its own values for the rest of
// the transaction. A plan for any value goes through a list in its order for
// whoever has little in it, or nothing, as for whoever has most.
func (t *tx) planned() error {
	if !t.postgres {
		return nil
	}
	_, err := t.sql.ExecContext(t.ctx, "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
	return classified(err)
}

// byText undoes inOrder, and has PostgreSQL begin with its index of texts.
func (t *tx) byText() error {
	_, err := t.sql.ExecContext(t.ctx, "SELECT set_config('enable_sort', 'on', true), set_config('enable_bitmapscan', 'on', true), set_config('enable_seqscan', 'off', true)")
	return classified(err)
}

// estimate is how many rows PostgreSQL expects. Its indexes of texts find all
// before they give the first, so asking that is dear where many match; what it has
// sampled of the column is not.
func (t *tx) estimate(query string, args ...any) (float64, error) {
	var plan []byte
	if err := t.sql.QueryRowContext(t.ctx, "EXPLAIN (FORMAT JSON) "+query, args...).Scan(&plan); err != nil {
		return 0, classified(err)
	}
	var expected []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal(plan, &expected); err != nil || len(expected) != 1 {
		return 0, err // it will be found out by counting
	}
	return expected[0].Plan.Rows, nil
}

// rows are how many PostgreSQL expects in a table.
func (t *tx) rows(table string) (n float64, err error) {
	err = t.sql.QueryRowContext(t.ctx, "SELECT reltuples FROM pg_class WHERE oid = CAST(CAST($1 AS text) AS regclass)", table).Scan(&n)
	return n, classified(err)
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
