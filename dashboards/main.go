// Command dashboards writes what is made from the code: the Grafana dashboards
// in json/ and the reference of all metrics, docs/metrics.md. Run it at the top
// of the tree: go run ./dashboards. Tests keep both equal to the code.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	files, err := generated()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generated are the files by their paths in the tree.
func generated() (map[string][]byte, error) {
	out := make(map[string][]byte)
	for _, d := range all() {
		text, err := d.json()
		if err != nil {
			return nil, err
		}
		out["dashboards/json/"+d.uid+".json"] = text
	}
	families, err := registered()
	if err != nil {
		return nil, err
	}
	out["docs/metrics.md"], err = reference(families)
	return out, err
}
