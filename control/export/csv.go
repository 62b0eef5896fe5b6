package export

import (
	"encoding/csv"
	"io"
	"strings"
)

// table is a CSV file (RFC 4180), which begins with a byte order mark:
// spreadsheets take the text for UTF-8 only then.
type table struct {
	w     *csv.Writer
	begun bool
	out   io.Writer
}

func newCSV(w io.Writer) *table {
	t := &table{w: csv.NewWriter(w), out: w}
	t.w.UseCRLF = true
	return t
}

func (t *table) row(cells []string) error {
	if !t.begun {
		t.begun = true
		if _, err := io.WriteString(t.out, "\ufeff"); err != nil {
			return err
		}
	}
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = defuse(c)
	}
	return t.w.Write(safe)
}

func (t *table) close() error {
	t.w.Flush()
	return t.w.Error()
}

func (t *table) discard() {}

// defuse puts an apostrophe before what a spreadsheet would run as a formula
// (OWASP, CSV injection).
func defuse(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") ||
		strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠") {
		return "'" + s
	}
	return s
}
