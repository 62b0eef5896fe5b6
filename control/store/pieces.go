package store

import (
	"context"
	"database/sql"
	"math"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// In SQLite's index of searches (FTS5, sqlite.org/fts5.html) a device is a row
// of words: of each character of its text and the two after it, of its account,
// and of the accounts above that. SQLite itself adds what words begin with, of
// one and of two characters. The index has no places of words in a text: whether
// who has all pieces of what was typed has it in one piece is looked at.

// A word of an account begins with a character that no piece of text is likely
// to begin with.
const (
	wordOwn   = "\ue000" // of the device's account
	wordAbove = "\ue001" // of one above that
)

// letters are text as words of the index have it. Its tokenizer parts words at
// whatever is neither ASCII's letters and digits nor beyond ASCII: so the rest of
// ASCII is put beyond it, where Thaana and N'Ko are, which at worst makes a
// search look at a few devices more.
func letters(text string) []rune {
	rs := []rune(text)
	for i, r := range rs {
		if r < 0x80 && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			rs[i] = 0x780 + r
		}
	}
	return rs
}

func accountWord(kind string, a id.Account) string { return kind + string(letters(string(a))) }

// wordsOf are those of a device with this text, in the account at path.
func wordsOf(text, path string) string {
	accounts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	own := len(accounts) - 1
	words := []string{accountWord(wordOwn, id.Account(accounts[own]))}
	for _, a := range accounts[:own] {
		words = append(words, accountWord(wordAbove, id.Account(a)))
	}
	rs := letters(text)
	for i := range rs {
		words = append(words, string(rs[i:min(i+trigram, len(rs))]))
	}
	return strings.Join(words, " ")
}

// wordsFor is what FTS5 is asked for: those that have in their text, in lower
// case, all pieces of typed, which is not empty.
func wordsFor(typed string) string {
	rs := letters(typed)
	if len(rs) < trigram {
		return string(rs) + "*"
	}
	var words []string
	for i := trigram; i <= len(rs); i++ {
		words = append(words, string(rs[i-trigram:i]))
	}
	return strings.Join(words, " ")
}

// indexed is what the index of searches has of a device, and by what its place
// follows.
type indexed struct {
	place      int64
	name       string
	id         id.Device
	text, path string
}

const selectIndexed = "SELECT d.place, d.sort_name, d.id, d.search, a.path FROM devices d JOIN accounts a ON a.id = d.account"

func scanIndexed(r scanner) (x indexed, err error) {
	err = r.Scan(&x.place, &x.name, &x.id, &x.text, &x.path)
	return x, err
}

func (t *tx) addWords(x indexed) error {
	return t.insert("INSERT INTO devices_search (rowid, words) VALUES ($1, $2)", x.place, wordsOf(x.text, x.path))
}

// removeWords must be given what was added.
func (t *tx) removeWords(x indexed) error {
	return t.insert("INSERT INTO devices_search (devices_search, rowid, words) VALUES ('delete', $1, $2)", x.place, wordsOf(x.text, x.path))
}

// index puts a device that was stored into SQLite's index of searches, at a
// place in the order of names. PostgreSQL keeps its indexes itself.
func (t *tx) index(d fleet.Device) error {
	if t.postgres {
		return nil
	}
	x := indexed{name: sortName(d), id: d.ID, text: searchText(d)}
	if err := t.sql.QueryRowContext(t.ctx, "SELECT path FROM accounts WHERE id = $1", d.Account).Scan(&x.path); err != nil {
		return classified(err)
	}
	return t.putIn(x)
}

func (t *tx) putIn(x indexed) (err error) {
	if x.place, err = t.freePlace(x.name, x.id); err != nil {
		return err
	}
	if err := t.change("UPDATE devices SET place = $2 WHERE id = $1", x.id, x.place); err != nil {
		return err
	}
	return t.addWords(x)
}

// wasIndexed is what the index has of a device that is about to change.
func (t *tx) wasIndexed(d id.Device) (indexed, error) {
	if t.postgres {
		return indexed{}, nil
	}
	return one(t, scanIndexed, selectIndexed+" WHERE d.id = $1", d)
}

// reindex has the index know a device as it was stored last.
func (t *tx) reindex(was indexed, d fleet.Device) error {
	now := was
	now.name, now.text = sortName(d), searchText(d)
	if t.postgres || now == was {
		return nil
	}
	if err := t.removeWords(was); err != nil {
		return err
	}
	if now.name == was.name {
		return t.addWords(now)
	}
	if err := t.change("UPDATE devices SET place = NULL WHERE id = $1", d.ID); err != nil {
		return err
	}
	return t.putIn(now)
}

// unindex takes a device that was removed out of the index.
func (t *tx) unindex(was indexed) error {
	if t.postgres {
		return nil
	}
	return t.removeWords(was)
}

// indexAll fills the index, which is empty, with the devices that there are, and
// makes one part of it, in which words are found at once.
func indexAll(ctx context.Context, in *sql.Tx) error {
	t := &tx{ctx: ctx, sql: in}
	const batch = 1000 // bounds what is in memory
	for last, n := int64(math.MinInt64), batch; n == batch; {
		rows, err := all(t, scanIndexed, selectIndexed+" WHERE d.place > $1 ORDER BY d.place LIMIT $2", last, batch)
		if err != nil {
			return err
		}
		for _, x := range rows {
			if err := t.addWords(x); err != nil {
				return err
			}
			last = x.place
		}
		n = len(rows)
	}
	return t.insert("INSERT INTO devices_search (devices_search) VALUES ('optimize')")
}
