package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// comparison is a line of the history.
type comparison struct {
	Time    time.Time `json:"time"`
	Base    string    `json:"base"`
	Now     string    `json:"now"`
	Machine string    `json:"machine"`
	Rounds  int       `json:"rounds"`
	Results []judged  `json:"results"`
}

func machineName() string {
	return fmt.Sprintf("%d x %s, %s, %s", runtime.NumCPU(), cpuModel(), kernel(), runtime.Version())
}

func (c *comparison) of(verdict string) (out []judged) {
	for _, j := range c.Results {
		if j.Verdict == verdict {
			out = append(out, j)
		}
	}
	return out
}

// markdown is for the page of a pull request.
func (c *comparison) markdown() []byte {
	var b bytes.Buffer
	worse, better := c.of(worseVerdict), c.of(betterVerdict)
	fmt.Fprintf(&b, "### Relay: %s beside %s\n\n", c.Now, c.Base)
	switch {
	case len(worse) > 0:
		fmt.Fprintf(&b, "**Worse, beyond the noise: %d of %d figures.**\n", len(worse), len(c.Results))
	case len(better) > 0:
		fmt.Fprintf(&b, "Better, beyond the noise: %d of %d figures. None is worse.\n", len(better), len(c.Results))
	default:
		fmt.Fprintf(&b, "No change beyond the noise in %d figures.\n", len(c.Results))
	}
	if changed := slices.Concat(worse, better); len(changed) > 0 {
		b.WriteByte('\n')
		markdownTable(&b, changed)
	}
	fmt.Fprintf(&b, "\n<details><summary>All figures</summary>\n\n")
	markdownTable(&b, c.Results)
	fmt.Fprintf(&b, "\nNoise is the most by which two runs of the base differed in one of %d rounds. Time and CPU are ratios to the base in the same round. Measured on %s.\n\n</details>\n", c.Rounds, c.Machine)
	return b.Bytes()
}

func markdownTable(b *bytes.Buffer, results []judged) {
	b.WriteString("| figure | unit | base | now | change | noise | |\n|---|---|--:|--:|--:|--:|---|\n")
	for _, j := range results {
		verdict := j.Verdict
		if verdict == worseVerdict {
			verdict = "**worse**"
		}
		change, noise := "", ""
		if j.Base > 0 {
			change, noise = fmt.Sprintf("%+.1f%%", 100*(j.Now/j.Base-1)), fmt.Sprintf("±%.1f%%", 100*j.Noise/j.Base)
		}
		fmt.Fprintf(b, "| %s | %s | %.2f | %.2f | %s | %s | %s |\n", strings.ReplaceAll(j.Name, "|", "\\|"), j.Unit, j.Base, j.Now, change, noise, verdict)
	}
}

// write prints the table, and adds to the files.
func (c *comparison) write(o options, ci ciOptions) error {
	text := c.markdown()
	if _, err := o.out.Write(text); err != nil {
		return err
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(o.outDir, 0o755), os.MkdirAll(filepath.Dir(ci.history), 0o755)); err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(filepath.Join(o.outDir, "ci.md"), text, 0o644), appendTo(ci.history, append(line, '\n')))
	if ci.summary != "" {
		err = errors.Join(err, appendTo(ci.summary, text))
	}
	return err
}

func appendTo(file string, b []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
