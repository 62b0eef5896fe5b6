package export

import (
	"errors"
	"io"

	"github.com/xuri/excelize/v2"
)

// book is an XLSX file. Its cells are texts, never formulas, so nothing need
// be defused. excelize keeps long ones in a temporary file until close.
type book struct {
	out   io.Writer
	file  *excelize.File
	sheet *excelize.StreamWriter
	next  int // row
}

const sheetName = "Devices"

func newXLSX(w io.Writer, columns []string) (*book, error) {
	b := &book{out: w, file: excelize.NewFile(), next: 1}
	if err := b.begin(columns); err != nil {
		return nil, errors.Join(err, b.file.Close())
	}
	return b, nil
}

func (b *book) begin(columns []string) error {
	if err := b.file.SetSheetName("Sheet1", sheetName); err != nil {
		return err
	}
	var err error
	if b.sheet, err = b.file.NewStreamWriter(sheetName); err != nil {
		return err
	}
	if err := b.sheet.SetColWidth(1, len(columns), 20); err != nil {
		return err
	}
	// The names of the columns stay in sight.
	if err := b.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	return b.row(columns)
}

func (b *book) row(cells []string) error {
	values := make([]any, len(cells))
	for i, c := range cells {
		values[i] = c
	}
	at, err := excelize.CoordinatesToCellName(1, b.next)
	if err != nil {
		return err
	}
	b.next++
	return b.sheet.SetRow(at, values)
}

func (b *book) close() error {
	if err := b.sheet.Flush(); err != nil {
		return errors.Join(err, b.file.Close())
	}
	_, err := b.file.WriteTo(b.out)
	return errors.Join(err, b.file.Close())
}

func (b *book) discard() { _ = b.file.Close() } // of a file that nobody wants
