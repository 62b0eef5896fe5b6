package service

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

const maxConfigSize = 1 << 20

// LoadYAML reads the file at path over the defaults that into holds. An
// unknown key is an error that names its line. Errors are UsageErrors.
func LoadYAML(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return &UsageError{err}
	}
	defer f.Close()
	if err := DecodeYAML(f, into); err != nil {
		return Usagef("%s: %w", path, err)
	}
	return nil
}

// DecodeYAML is LoadYAML on a reader. An empty document changes nothing.
func DecodeYAML(r io.Reader, into any) error {
	d := yaml.NewDecoder(io.LimitReader(r, maxConfigSize))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one document")
	}
	return nil
}
