package store

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// trigram is how long a text must be for the index of a search.
	trigram = 3
	// searchFew is up to how many rows a search has the index find them.
	// Where more match, all over the installation, going through a list in its
	// order soon meets enough of them.
	searchFew = 2000
	// searchTotal is how far such a search is counted: each row that matches
	// stands among many that are read for it.
	searchTotal = 100
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

// search adds the condition that the row has typed in it, the case aside. It
// comes first: the other columns' indexes are left alone if the search's own
// finds the few rows there are (w.found).
func (t *tx) search(w *where, in searched, typed string) error {
	if utf8.RuneCountInString(typed) < trigram {
		w.scan = typed != ""
		w.containing(in.alias+".search", typed)
		return nil
	}
	typed = strings.ToLower(typed)
	matching, arg := fmt.Sprintf("SELECT rowid FROM %s_search WHERE %s_search MATCH ?", in.table, in.table), any(`"`+strings.ReplaceAll(typed, `"`, `""`)+`"`)
	if t.postgres {
		matching, arg = fmt.Sprintf(`SELECT f.%s FROM %s f WHERE f.search LIKE ? ESCAPE '\'`, in.key, in.table), like(typed)
	}
	n, err := t.count(fmt.Sprintf("SELECT COUNT(*) FROM (%s LIMIT %d) AS n", strings.Replace(matching, "?", "$1", 1), searchFew+1), arg)
	switch {
	case err != nil:
		return err
	case n > searchFew:
		w.scan = true
		w.and(in.alias+`.search || '' LIKE ? ESCAPE '\'`, like(typed)) // not by the index
	case t.postgres:
		w.found = true
		w.and(in.alias+"."+in.key+" = ANY (ARRAY("+matching+"))", arg)
	default:
		w.found = true
		w.and(in.alias+"."+in.num+" IN ("+matching+")", arg)
	}
	return nil
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
