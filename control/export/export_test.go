package export_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"trunkline/control/export"
	"trunkline/control/fleet"
)

var (
	then   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	device = fleet.Device{
		ID: "dev_0123456789abcdef", Site: "pbx-acme", Serial: "SN-0001", Name: `=HYPERLINK("https://evil.example")`, Group: "grp_0123456789abcdef",
		Comment: "+1", Model: "P550", Firmware: "37.20.0.1", Created: then, Mark: fleet.MarkActive, Owner: "-x\r\n@y",
		Presence: fleet.Presence{Status: fleet.StatusNever, Since: then},
	}
	groups = []fleet.Group{{ID: "grp_0123456789abcdef", Name: "@home"}}
	want   = []string{
		`=HYPERLINK("https://evil.example")`, "SN-0001", "never connected", "2026-03-01 12:00:00Z", "", "@home", "+1", "P550", "37.20.0.1",
		"pbx-acme", "active", "no", "-x\r\n@y", "", "", "2026-03-01 12:00:00Z", "", "dev_0123456789abcdef",
	}
)

func make1(t *testing.T, f export.Format, ds ...fleet.Device) []byte {
	t.Helper()
	var out bytes.Buffer
	s := export.Devices(&out, f, groups)
	for _, d := range ds {
		if err := s.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A spreadsheet must take what people typed for text, whatever it begins with.
func TestCSV(t *testing.T) {
	b, marked := bytes.CutPrefix(make1(t, export.CSV, device), []byte("\ufeff"))
	if !marked {
		t.Error("no byte order mark")
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if diff := cmp.Diff(export.Columns(), rows[0]); diff != "" {
		t.Error(diff)
	}
	for i, got := range rows[1] {
		plain := strings.ReplaceAll(want[i], "\r\n", "\n") // encoding/csv reads it so
		if strings.HasPrefix(plain, "=") || strings.HasPrefix(plain, "+") || strings.HasPrefix(plain, "-") || strings.HasPrefix(plain, "@") {
			plain = "'" + plain
		}
		if got != plain {
			t.Errorf("%s: %q, not %q", rows[0][i], got, plain)
		}
	}
}

func TestCSVDefusesEveryBeginning(t *testing.T) {
	for _, name := range []string{"=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"} {
		if b := make1(t, export.CSV, fleet.Device{Name: name}); !bytes.Contains(b, []byte("'"+name)) && !bytes.Contains(b, []byte("\"'")) {
			t.Errorf("%q: %s", name, b)
		}
	}
}

func TestXLSX(t *testing.T) {
	f, err := excelize.OpenReader(bytes.NewReader(make1(t, export.XLSX, device)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Devices")
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for i, column := range export.Columns() {
		cell, _ := excelize.CoordinatesToCellName(i+1, 2)
		if formula, err := f.GetCellFormula("Devices", cell); formula != "" || err != nil {
			t.Errorf("%s is a formula: %s, %v", column, formula, err)
		}
		if got := strings.ReplaceAll(rows[1][i], "\r\n", "\n"); got != strings.ReplaceAll(want[i], "\r\n", "\n") {
			t.Errorf("%s: %q, not %q", column, got, want[i])
		}
	}
}

func TestFilesOfNothing(t *testing.T) {
	for _, f := range []export.Format{export.CSV, export.XLSX} {
		if b := make1(t, f); !bytes.Contains(b, []byte("Serial number")) && f == export.CSV || len(b) == 0 {
			t.Errorf("%s: %q", f, b)
		}
	}
	if _, err := export.ParseFormat("pdf"); err == nil {
		t.Error("pdf is a format")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestWriterThatBreaks(t *testing.T) {
	for _, f := range []export.Format{export.CSV, export.XLSX} {
		s := export.Devices(broken{}, f, nil)
		err := s.Add(device)
		if err == nil {
			err = s.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", f)
		}
		s.Discard()
	}
}
