// Package report shows the results of load tests: as a table on a terminal, as
// files, and as the difference of two. It measures and decides nothing; what
// is beside the numbers, in Findings, is read from them.
package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"trunkline/loadtest/result"
)

// Read reads the document of a run from a file.
func Read(path string) (*result.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := result.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// WriteJSON writes the document of a run to a file.
func WriteJSON(path string, r *result.Result) error { return writeFile(path, r.Write) }

// WriteHTML writes a page for people to a file. It needs no network and runs no
// script.
func WriteHTML(path string, r *result.Result) error {
	return writeFile(path, func(w io.Writer) error { return HTML(w, r) })
}

// writeFile puts the whole of a file in place, or leaves what was there. A full
// disk is an error here, and half a report nowhere. It takes the place of no
// device.
func writeFile(path string, write func(io.Writer) error) (err error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if i, err := os.Stat(path); err == nil && !i.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file, which a report could take the place of; name another", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("the report is not written; name another file: %w", err)
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("the report is not written; make room, or name another file: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
