package store

import (
	"context"
	"database/sql"
	"math"
	"strings"

	"trunkline/control/fleet"
	"trunkline/internal/id"
)

// In an index of searches on SQLite (FTS5, sqlite.org/fts5.html) a device is a row
// of words: of each character of its text and the two after it, of its account, of
// the accounts above that, and of its group. SQLite itself adds what words begin with, of
// one and of two characters. The index has no places of words in a text: whether
// who has all pieces of what was typed has it in one piece is looked at.

// A word of an account or of a group begins with a character that no piece of text
// is likely to begin with.
const (
	wordOwn   = "\ue000" // of the device's account
	wordAbove = "\ue001" // of one above that
	wordGroup = "\ue002" // of the device's group; alone if it has none
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

func groupWord(g id.Group) string { return wordGroup + string(letters(string(g))) }

// words are those that the index has of a device.
func (x indexed) words() string {
	accounts := strings.Split(strings.TrimSuffix(x.path, "/"), "/")
	own := len(accounts) - 1
	words := []string{groupWord(x.group), accountWord(wordOwn, id.Account(accounts[own]))}
	for _, a := range accounts[:own] {
		words = append(words, accountWord(wordAbove, id.Account(a)))
	}
	rs := letters(x.text)
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

// indexed is what an index of searches has of a device, and by what its place
// follows.
type indexed struct {
	place      int64
	key        string
	id         id.Device
	text, path string
	group      id.Group
}

func (k keyed) selectIndexed(where string) string {
	return k.on("SELECT d.{place}, {key}, d.id, d.search, a.path, d.grp FROM devices d JOIN accounts a ON a.id = d.account" + where)
}

func scanIndexed(r scanner) (x indexed, err error) {
	err = r.Scan(&x.place, &x.key, &x.id, &x.text, &x.path, &x.group)
	return x, err
}

func (p placed) addWords(x indexed) error { return p.add(x.place, x.words()) }

func (p placed) add(place int64, words string) error {
	return p.insert(p.on("INSERT INTO {index} (rowid, words) VALUES ($1, $2)"), place, words)
}

// removeWords must be given what was added.
func (p placed) removeWords(x indexed) error { return p.remove(x.place, x.words()) }

func (p placed) remove(place int64, words string) error {
	return p.insert(p.on("INSERT INTO {index} ({index}, rowid, words) VALUES ('delete', $1, $2)"), place, words)
}

// regroup changes one word: the others, and what begins like them, stay.
func (p placed) regroup(x indexed, to id.Group) error {
	if err := p.remove(x.place, groupWord(x.group)); err != nil {
		return err
	}
	return p.add(x.place, groupWord(to))
}

// index puts a device that was stored into indexes of searches of SQLite's, at a
// place in each one's order. PostgreSQL keeps its indexes itself.
func (t *tx) index(d fleet.Device, in ...keyed) error {
	if t.postgres {
		return nil
	}
	x := indexed{id: d.ID, text: searchText(d), group: d.Group}
	if err := t.sql.QueryRowContext(t.ctx, "SELECT path FROM accounts WHERE id = $1", d.Account).Scan(&x.path); err != nil {
		return classified(err)
	}
	for _, k := range in {
		x.key = k.of(d)
		if err := (placed{t, k}).putIn(x); err != nil {
			return err
		}
	}
	return nil
}

func (p placed) putIn(x indexed) (err error) {
	if x.place, err = p.freePlace(x.key, x.id); err != nil {
		return err
	}
	if err := p.change(p.on("UPDATE devices SET {place} = $2 WHERE id = $1"), x.id, x.place); err != nil {
		return err
	}
	return p.addWords(x)
}

// wasIndexed is what each index has of devices that are about to change: those
// that a condition selects, in the order of their places.
func (t *tx) wasIndexed(where string, args ...any) (was [][]indexed, err error) {
	if t.postgres {
		return nil, nil
	}
	was = make([][]indexed, len(keyeds))
	for i, k := range keyeds {
		if was[i], err = all(t, scanIndexed, k.selectIndexed(" WHERE "+where+" ORDER BY d.{place}"), args...); err != nil {
			return nil, err
		}
	}
	return was, nil
}

// reindex has the indexes know a device as it was stored last.
func (t *tx) reindex(was [][]indexed, d fleet.Device) error {
	for i, of := range was {
		for _, x := range of {
			now := x
			now.key, now.text, now.group = keyeds[i].of(d), searchText(d), d.Group
			if err := (placed{t, keyeds[i]}).replace(x, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p placed) replace(was, now indexed) error {
	switch {
	case now == was:
		return nil
	case now.key == was.key && now.text == was.text:
		return p.regroup(was, now.group)
	}
	if err := p.removeWords(was); err != nil {
		return err
	}
	if now.key == was.key {
		return p.addWords(now)
	}
	if err := p.change(p.on("UPDATE devices SET {place} = NULL WHERE id = $1"), was.id); err != nil {
		return err
	}
	return p.putIn(now)
}

// reindexGroup has the indexes know that devices are in another group.
func (t *tx) reindexGroup(was [][]indexed, to id.Group) error {
	for i, of := range was {
		for _, x := range of {
			if err := (placed{t, keyeds[i]}).regroup(x, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// unindex takes devices that were removed out of the indexes.
func (t *tx) unindex(was [][]indexed) error {
	for i, of := range was {
		for _, x := range of {
			if err := (placed{t, keyeds[i]}).removeWords(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// indexAll fills the indexes, which are empty, with the devices that there are,
// and makes one part of each, in which words are found at once.
func indexAll(ctx context.Context, in *sql.Tx) error {
	for _, k := range keyeds {
		if err := (placed{&tx{ctx: ctx, sql: in}, k}).fill(); err != nil {
			return err
		}
	}
	return nil
}

func (p placed) fill() error {
	const batch = 1000 // bounds what is in memory
	for last, n := int64(math.MinInt64), batch; n == batch; {
		rows, err := all(p.tx, scanIndexed, p.selectIndexed(" WHERE d.{place} > $1 ORDER BY d.{place} LIMIT $2"), last, batch)
		if err != nil {
			return err
		}
		for _, x := range rows {
			if err := p.addWords(x); err != nil {
				return err
			}
			last = x.place
		}
		n = len(rows)
	}
	return p.insert(p.on("INSERT INTO {index} ({index}) VALUES ('optimize')"))
}
