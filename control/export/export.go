// Package export makes files of devices, CSV and XLSX, for people's
// spreadsheets. Console and API hand out the same ones.
//
// What devices are called is anybody's word, and a spreadsheet runs a cell
// that begins with certain characters: such cells are defused.
package export

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"trunkline/control/fleet"
	"trunkline/internal/fault"
	"trunkline/internal/id"
)

// Format of a file, and the end of its name.
type Format string

const (
	CSV  Format = "csv"
	XLSX Format = "xlsx"
)

// ParseFormat is for what came with a request.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); slices.Contains([]Format{CSV, XLSX}, f) {
		return f, nil
	}
	return "", fmt.Errorf("need csv or xlsx")
}

func (f Format) MediaType() string {
	if f == XLSX {
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	}
	return "text/csv"
}

// rows is a file that grows by a row.
type rows interface {
	row(cells []string) error
	close() error
	discard()
}

// Sheet is a file of devices. Not safe for concurrent use.
type Sheet struct {
	w      io.Writer
	format Format
	groups map[id.Group]string
	rows   rows // nil before the first row
}

// Devices begins a file on w, which gets nothing before the first Add or
// Close. groups are those whose names are known. It does not close w.
func Devices(w io.Writer, f Format, groups []fleet.Group) *Sheet {
	s := &Sheet{w: w, format: f, groups: make(map[id.Group]string, len(groups))}
	for _, g := range groups {
		s.groups[g.ID] = g.Name
	}
	return s
}

// Columns are the file's first row.
func Columns() []string {
	return []string{
		"Name", "Serial number", "Status", "Since", "Reason", "Group", "Comment", "Model", "Firmware", "Site", "Pair",
		"Passwordless", "Account", "Address", "Agent", "Added", "Activated", "ID",
	}
}

// Add writes one device.
func (s *Sheet) Add(d fleet.Device) error {
	if err := s.begin(); err != nil {
		return err
	}
	p, status := d.Presence, word(string(d.Presence.Status))
	if !p.Unknown.IsZero() {
		status, p.Since = "not known, was "+status, p.Unknown
	}
	return s.rows.row([]string{
		d.Name, string(d.Serial), status, clock(p.Since), fault.Reason(p.Reason), s.groups[d.Group], d.Comment, d.Model,
		d.Firmware, string(d.Site), word(string(d.Mark)), yes(d.Passwordless), d.Owner, p.Remote, p.Agent, clock(d.Created),
		clock(d.Activated), string(d.ID),
	})
}

// Close writes what is left. A file without it is broken; see Discard.
func (s *Sheet) Close() error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.rows.close()
}

// Discard frees what Close would, and writes nothing.
func (s *Sheet) Discard() {
	if s.rows != nil {
		s.rows.discard()
	}
}

func (s *Sheet) begin() error {
	if s.rows != nil {
		return nil
	}
	if s.format == XLSX {
		x, err := newXLSX(s.w, Columns())
		if err != nil {
			return fmt.Errorf("begin XLSX: %w", err)
		}
		s.rows = x
		return nil
	}
	s.rows = newCSV(s.w)
	return s.rows.row(Columns())
}

// word is a code for people: "never_connected" is "never connected".
func word(s string) string { return strings.ReplaceAll(s, "_", " ") }

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
