package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds a scenario's file, in bytes.
const MaxSize = 64 << 10

// Read reads the text of a scenario from the file at path, which may be larger
// than MaxSize by a byte: Parse says so.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSize+1))
}

// Parse reads a scenario and checks it. An error names the line and the key. On
// error it returns nothing.
func Parse(b []byte) (Scenario, error) {
	if len(b) > MaxSize {
		return Scenario{}, fmt.Errorf("larger than %d bytes", MaxSize)
	}
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return Scenario{}, errors.New("empty")
		}
		return Scenario{}, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Scenario{}, errors.New("more than one document")
	}
	if n := alias(&root); n != nil {
		return Scenario{}, fmt.Errorf("line %d: aliases and anchors are not taken", n.Line)
	}
	s := Scenario{Relays: 2, Entry: Near, Timeout: 30 * time.Second}
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	if err := strict.Decode(&s); err != nil {
		return Scenario{}, err
	}
	s = s.withDefaults()
	c := checker{root: &root}
	c.scenario(s)
	if len(c.errs) > 0 {
		return Scenario{}, errors.Join(c.errs...)
	}
	return s, nil
}

func (s Scenario) withDefaults() Scenario {
	if s.Visits == 0 {
		s.Visits = min(200, s.Sites())
	}
	return s
}

// alias is a node that refers to another: a short file can be very much that way.
func alias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n
	}
	for _, c := range n.Content {
		if a := alias(c); a != nil {
			return a
		}
	}
	return nil
}
